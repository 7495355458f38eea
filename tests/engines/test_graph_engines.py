"""Engines that run exported graphs: states, caches and drafts are kept as in the native engine.

Oracle: the native engine on the same model in f32, whose values its own tests hold to the float64 reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance import DEVICE_CACHES, cases, open_engine
from decoding import count_differing, decode, plain_text
from drafting import GREEDY, NEXT, TEXT, WARM, draft
from driving import chain, feed, tree, verify

from mtp_rt._core import Engine, SamplingParams
from mtp_rt.errors import ArgumentError, CapacityError, UnsupportedError
from tiny_model.heads import PRESETS

pytest.importorskip("onnxruntime")

TOLERANCE = 1e-4
HEADS: dict[str, tuple[str, dict[str, Any]]] = {preset: (preset, {}) for preset in PRESETS} | {
    "window of a shared block": ("fastmtp", {"window": 3}),
    "window of separate blocks": ("deepseek", {"window": 3}),
    "chained, shared block": ("causal", {"shared": True, "window": 2}),
    "chained, linear": ("causal", {"body": "linear", "intermediate_size": None}),
    "sequential, linear": ("hydra", {"body": "linear", "intermediate_size": None}),
}
Models = Callable[..., Path]
Pair = tuple[Engine, Engine]


@pytest.fixture(scope="module", params=["onnxruntime", DEVICE_CACHES, "tensorrt"])
def both(request: pytest.FixtureRequest, exported: Callable[[Path], Path]) -> Callable[..., Pair]:
    """Return a function: model directory -> it in this engine and in the native one."""

    def get(model: Path, **options: Any) -> Pair:
        options = {"threads": 1, "slots": 3} | options
        return open_engine(request.param, model, exported, **options), Engine(str(model), **options)

    return get


@pytest.fixture(scope="module")
def f32(both: Callable[..., Pair], exported_f32_heads: Models) -> Pair:
    return both(exported_f32_heads("medusa"))


@pytest.fixture
def engines(f32: Pair) -> Pair:
    for engine in f32:
        for slot in range(3):
            engine.release(slot)
    return f32


def agree(engines: Pair, rows_of: Callable[[Engine], Sequence[Any]]) -> None:
    """Run the same rows in both engines: the same logits and states."""
    got, want = (verify(engine, rows_of(engine), taps=[]) for engine in engines)
    np.testing.assert_allclose(got.logits, want.logits, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(got.states, want.states, rtol=0, atol=TOLERANCE)


def commit(engines: Pair, kept: Sequence[tuple[int, Sequence[int]]]) -> None:
    for engine in engines:
        engine.commit(kept)
    assert engines[0].length(0) == engines[1].length(0)


def test_caches_grow_with_the_text(engines: Pair) -> None:
    """Across every growth, in chunks and row by row, with rows that are not kept."""
    text = (TEXT * 20)[:300]
    for start in range(0, 280, 35):
        agree(engines, lambda engine, at=start: chain(engine, 0, text[at : at + 35]))  # type: ignore[misc]
        commit(engines, [(0, range(33))])
        agree(engines, lambda engine: chain(engine, 0, [NEXT]))
        commit(engines, [(0, [0])])
        agree(engines, lambda engine: chain(engine, 0, [7, 8]))
        commit(engines, [(0, [0])])


def test_trees_and_what_is_kept_of_them(engines: Pair) -> None:
    for engine in engines:
        feed(engine, 0, TEXT)
    parents = [-1, 0, 0, 1, 2, 2, 5]
    for kept in ([0, 2, 5, 6], [0, 1, 3], [0, 2, 4], [0]):
        agree(engines, lambda engine: tree(engine, 0, [9, 8, 7, 6, 5, 4, 3], parents))
        commit(engines, [(0, kept)])
    agree(engines, lambda engine: chain(engine, 0, [1, 2, 3]))


def test_slots_come_and_go_beside_each_other(engines: Pair) -> None:
    for length in (5, 70):
        for engine in engines:
            feed(engine, 1, TEXT[:length])
        for _ in range(2):

            def rows(engine: Engine) -> list[Any]:
                first = chain(engine, 2, [11, 12])
                return first + chain(engine, 0, [13, 14, 15], first=2) + chain(engine, 1, [16], first=5)

            agree(engines, rows)
            commit(engines, [(0, [2, 3]), (2, [0]), (1, [5])])
        for engine in engines:
            engine.release(1)


@pytest.mark.parametrize("case", HEADS)
@pytest.mark.parametrize("params", [GREEDY, WARM], ids=["greedy", "warm"])
def test_heads_draft_what_the_native_engine_drafts(
    case: str, params: Any, both: Callable[..., Pair], exported_f32_heads: Models
) -> None:
    """All depths and some, again without a commit, behind one row and behind many."""
    preset, changes = HEADS[case]
    engines = both(exported_f32_heads(preset, **changes))
    text = (TEXT * 20)[:220]
    at = 0
    for step, count in ((3, 0), (1, 1), (4, 0), (150, 2), (2, 0), (1, 0), (1, 0)):
        for engine in engines:
            feed(engine, 0, text[at : at + step])
        at += step
        for _ in range(2):
            got, want = (draft(engine, count=count, width=3, params=params) for engine in engines)
            np.testing.assert_allclose(got.chances, want.chances, rtol=0, atol=TOLERANCE)
            assert np.array_equal(got.tokens, want.tokens)


@pytest.mark.parametrize("preset", ["recurrent", "medusa", "deepseek"])
def test_texts_with_heads(
    preset: str, both: Callable[..., Pair], exported_f32_heads: Models, tiny_model: Path
) -> None:
    """In f32, whose rounding parts no text here, the scheduler gives the native engine's plain texts."""
    engine, native = both(exported_f32_heads(preset))
    chosen = list(cases(tiny_model, seeds=1, temperatures=[0.7], max_tokens=32))
    texts = [plain_text(native, case) for case in chosen]
    for source in ("none", "heads", "auto"):
        found = decode(engine, [case.request(source, 4) for case in chosen])
        parted = sum(count_differing(a, b) > 0 for a, b in zip(found, texts, strict=True))
        assert parted <= 1


def test_what_the_engine_cannot_do_is_refused(engines: Pair, both: Callable[..., Pair]) -> None:
    engine = engines[0]
    with pytest.raises(UnsupportedError, match="give no layer's output"):
        verify(engine, chain(engine, 0, [1]), taps=[0])
    with pytest.raises(ArgumentError, match=r"rows\[0\].token"):
        verify(engine, chain(engine, 0, [512]), taps=[])
    with pytest.raises(CapacityError, match="max_rows"):
        verify(engine, chain(engine, 0, [1] * 129), taps=[])
    with pytest.raises(ArgumentError, match="no rows in the last verify call"):
        engine.commit([(0, [0])])


def test_without_heads_nothing_is_drafted(tiny_model: Path, both: Callable[..., Pair]) -> None:
    engine, _ = both(tiny_model)
    feed(engine, 0, TEXT)
    with pytest.raises(UnsupportedError, match="no extra heads"):
        engine.draft([0], [1], [1], [1], [SamplingParams()])
