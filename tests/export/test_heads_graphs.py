"""draft.onnx and all_heads.onnx in plain onnxruntime against the float64 reference of extra heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx_models import Runner

from mtp_rt.model_dir import HeadsConfig, read_model_dir
from reference_heads import HeadsReference
from tiny_model.heads import PRESETS

TOLERANCE = 1e-4
TEXT = [5, 17, 3, 250, 99, 31, 8, 77, 140]
CASES: dict[str, tuple[str, dict[str, Any]]] = {preset: (preset, {}) for preset in PRESETS} | {
    "window of a shared block": ("fastmtp", {"window": 3}),
    "window of separate blocks": ("deepseek", {"window": 3}),
    "chained, shared block": ("causal", {"shared": True, "window": 2}),
    "chained, linear": ("causal", {"body": "linear", "intermediate_size": None}),
    "sequential, linear": ("hydra", {"body": "linear", "intermediate_size": None}),
    "taps without a block": ("recurrent", {"taps": [1]}),
    "sequential, own output matrices": ("hydra", {"unembedding": "own"}),
    "separate blocks, own output matrices": ("deepseek", {"unembedding": "own"}),
}

Models = Callable[..., Path]


def scores(reference: HeadsReference, text: list[int], drafts: list[int]) -> NDArray[np.float64]:
    """What the heads score [K, V] behind `text` where `drafts` were drafted, trunk included."""
    trunk = reference.run(text[:-1])
    return reference.scores(text, drafts, trunk.states, trunk.taps.transpose(0, 1)).numpy()


def heads_of(path: Path) -> HeadsConfig:
    heads = read_model_dir(path).config.extra_heads
    assert heads is not None
    return heads


@pytest.mark.parametrize("opset", [24, 21])
@pytest.mark.parametrize("case", CASES)
def test_all_heads_draft_as_the_reference_scores(case: str, opset: int, exported_f32_heads: Models) -> None:
    preset, changes = CASES[case]
    path = exported_f32_heads(preset, opset, **changes)
    reference = HeadsReference(path)
    got = Runner(path / "all_heads.onnx").chain([TEXT], [0], rows=[[len(TEXT) - 1]])
    first, drafts = int(got["ids"][0, 0]), got["draft_ids"][0, 0].tolist()
    want = scores(reference, [*TEXT, first], drafts)
    np.testing.assert_allclose(got["draft_logits"][0, 0], want, rtol=0, atol=TOLERANCE)
    assert first == int(got["logits"][0, 0].argmax())
    assert drafts == [reference.token(int(entry)) for entry in want.argmax(axis=-1)]


def draft_by_hand(path: Path, text: list[int], first: int, suffix: str) -> tuple[NDArray[Any], list[int]]:
    """What the draft graphs give behind `text` and the chosen token `first`: logits [K, V] and drafts."""
    heads = heads_of(path)
    state = Runner(path / "verify.onnx").chain([text], [0], rows=[[0]])["state"]
    attends, last = heads.body == "block", {"rows": np.array([[len(text) - 1]])}
    start = {"lengths": np.array([0]), **last} if attends else {}
    if heads.wiring != "sequential":
        origin = state if attends else state[:, -1:]
        out = Runner(path / f"draft{suffix}").run(state=origin, **start)
        return out["logits"][0, 0], out["ids"][0, 0].tolist()
    files = [path / f"draft{suffix if k == 0 else f'_{k + 1}{suffix}'}" for k in range(heads.modules)]
    modules = [Runner(file) for file in files]
    known, logits = [*text, first], []
    for k in range(heads.count):
        if not attends:
            out = modules[min(k, len(modules) - 1)].run(state=state[:, -1:], tokens=np.array([known[-1:]]))
        elif not heads.shared:
            out = modules[k].run(state=state, tokens=np.array([known[k + 1 :]]), **start)
        elif k == 0:
            out = modules[0].run(state=state, tokens=np.array([known[1:]]), **start)
        else:
            here = {"lengths": np.array([len(text) - 1 + k]), "rows": np.array([[0]])}
            out = modules[0].run(state=state[:, -1:], tokens=np.array([known[-1:]]), **here)
        state = out["next_state"]
        logits.append(out["logits"][0, 0])
        known.append(int(out["ids"][0, 0]))
    return np.stack(logits), known[len(text) + 1 :]


@pytest.mark.parametrize("form", [(24, ".onnx"), (24, ".single.onnx"), (21, ".onnx")], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_draft_graphs_draft_as_the_reference_scores(
    case: str, form: tuple[int, str], exported_f32_heads: Models
) -> None:
    preset, changes = CASES[case]
    opset, suffix = form
    path = exported_f32_heads(preset, opset, **changes)
    reference = HeadsReference(path)
    if suffix == ".single.onnx" and heads_of(path).body != "block":
        assert not (path / "draft.single.onnx").exists()  # nothing in it could be said otherwise
        return
    logits, drafts = draft_by_hand(path, TEXT, 123, suffix)
    want = scores(reference, [*TEXT, 123], drafts)
    np.testing.assert_allclose(logits, want, rtol=0, atol=TOLERANCE)
    assert drafts == [reference.token(int(entry)) for entry in want.argmax(axis=-1)]


@pytest.mark.parametrize("opset", [24, 21])
@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset != "deepseek"])
def test_every_wanted_row_gets_the_drafts_it_gets_alone(
    preset: str, opset: int, exported_f32_heads: Models
) -> None:
    """Rows as in decoding: each row's token is what the row before it chose.

    Separate sequential blocks are exact for one wanted row only (docs/exporting.md).
    """
    file = exported_f32_heads(preset, opset) / "all_heads.onnx"
    text = list(TEXT)
    for _ in range(3):
        text.append(int(Runner(file).chain([text], [0], rows=[[len(text) - 1]])["ids"][0, 0]))
    runner = Runner(file)
    runner.chain([TEXT[:-1]], [0], rows=[[len(TEXT) - 2]])  # the row that is wanted here comes again below
    together = runner.chain([text[len(TEXT) - 2 :]], [len(TEXT) - 2], rows=[[1, 2, 3, 4]])
    for row in range(4):
        alone = Runner(file).chain([text[: len(TEXT) + row]], [0], rows=[[len(TEXT) + row - 1]])
        for name in ("ids", "draft_ids"):
            np.testing.assert_array_equal(together[name][0, row], alone[name][0, 0])
        for name in ("logits", "draft_logits"):
            np.testing.assert_allclose(together[name][0, row], alone[name][0, 0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("opset", [24, 21])
@pytest.mark.parametrize("preset", PRESETS)
def test_quantised_heads_stay_near_the_reference(
    preset: str, opset: int, tiny_with_heads: Models, exported: Models
) -> None:
    path = exported(tiny_with_heads(preset), opset)
    reference, rounded = HeadsReference(path), HeadsReference(path, simulate=True)
    got = Runner(path / "all_heads.onnx").chain([TEXT], [0], rows=[[len(TEXT) - 1]])
    first, drafts = int(got["ids"][0, 0]), got["draft_ids"][0, 0].tolist()
    want = scores(reference, [*TEXT, first], drafts)
    allowed = np.sqrt(np.mean((scores(rounded, [*TEXT, first], drafts) - want) ** 2))
    assert 0 < np.sqrt(np.mean((got["draft_logits"][0, 0] - want) ** 2)) < 3 * allowed
