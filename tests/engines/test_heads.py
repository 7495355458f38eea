"""Drafts of extra heads against the float64 reference, and what draft() refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drafting import GREEDY, TEXT, Model, draft, ready
from driving import chain, feed, verify
from reference_drafts import check_against_reference

from mtp_rt._core import Engine, SamplingParams, pick
from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.model_dir import read_model_dir

OWN: dict[str, Any] = {"unembedding": "own"}


def fields(wiring: str, body: str, *, shared: bool, **more: Any) -> dict[str, Any]:
    inner = None if body == "linear" else 64
    return {"wiring": wiring, "body": body, "shared": shared, "intermediate_size": inner, **more}


PLAIN = [
    fields(wiring, body, shared=shared)
    for wiring in ("parallel", "chained", "sequential")
    for body in ("linear", "residual")
    for shared in (False, True)
    if not (shared and wiring == "parallel")
]
VARIED = [
    *(heads | {"taps": [0, 1], "output_norm": True} for heads in PLAIN),
    *(heads | {"draft_vocab_size": 96, "output_norm": norm} for heads in PLAIN for norm in (False, True)),
    *(
        heads | OWN | {"draft_vocab_size": size, "output_norm": True}
        for heads in PLAIN
        for size in (None, 96)
        if not heads["shared"]
    ),
]


def name(heads: dict[str, Any]) -> str:
    return "-".join(f"{key}={value}" for key, value in heads.items() if value not in (None, False, []))


@pytest.mark.parametrize("heads", PLAIN + VARIED, ids=name)
def test_scores_are_the_references(heads: dict[str, Any], tiny_with_heads: Model) -> None:
    path = tiny_with_heads("medusa", kind="f32", unembed="f32", **heads)
    check_against_reference(path, tolerance=2e-3)


@pytest.mark.parametrize(("kind", "unembed"), [("q4", "q4"), ("q8", "q8"), ("q4", "q8"), ("bf16", "bf16")])
@pytest.mark.parametrize("preset", ["recurrent", "hydra", "medusa", "gloeckle-linear", "medusa-own"])
def test_quantised_heads(preset: str, kind: str, unembed: str, tiny_with_heads: Model) -> None:
    check_against_reference(tiny_with_heads(preset, kind=kind, unembed=unembed), tolerance=5e-3)


def test_output_matrices_of_single_heads_have_kinds_of_their_own(tiny_with_heads: Model) -> None:
    path = tiny_with_heads("medusa-own", unembed=("q8", "f32", "q4"))
    check_against_reference(path, tolerance=5e-3)
    coarse, exact = draft(ready(path)), draft(ready(path, two_stage_head=False))
    assert not np.array_equal(coarse.chances[0], exact.chances[0])
    assert np.array_equal(coarse.chances[1:], exact.chances[1:])


@pytest.mark.parametrize("preset", ["fastmtp", "deepseek", "eagle3", "causal-own"])
def test_quantised_blocks(preset: str, tiny_with_heads: Model) -> None:
    """Their keys and values have 8 bits, which the reference does not imitate."""
    check_against_reference(tiny_with_heads(preset), tolerance=0.1)


BLOCKS = [
    fields(wiring, "block", shared=shared, **more)
    for wiring in ("parallel", "chained", "sequential")
    for shared in (False, True)
    for more in ({}, {"output_norm": True, "taps": [0, 1], "draft_vocab_size": 96}, {"window": 5}, OWN)
    if not (shared and (wiring == "parallel" or more is OWN))
]


@pytest.mark.parametrize("heads", BLOCKS, ids=name)
@pytest.mark.parametrize("chunk", [3, 64])
def test_blocks_attend_as_the_reference_does(
    heads: dict[str, Any], chunk: int, tiny_with_heads: Model
) -> None:
    path = tiny_with_heads("gloeckle", kind="f32", unembed="f32", **heads)
    check_against_reference(path, tolerance=1e-2, chunk=chunk)


@pytest.mark.parametrize("window", [None, 40])
def test_blocks_attend_over_long_texts(window: int | None, tiny_with_heads: Model) -> None:
    """170 positions: behind a cache block's border, most of them long final."""
    text = [(7 * place * place + 31 * place) % 509 for place in range(170)]
    for preset in ("fastmtp", "deepseek"):
        path = tiny_with_heads(preset, kind="f32", unembed="f32", window=window)
        check_against_reference(path, tolerance=1e-2, text=text)


@pytest.mark.parametrize("preset", ["recurrent", "medusa-own"])
def test_two_stages_find_the_same_tokens(preset: str, tiny_with_heads: Model) -> None:
    path = tiny_with_heads(preset)
    coarse, exact = draft(ready(path)), draft(ready(path, two_stage_head=False))
    assert np.array_equal(coarse.tokens, exact.tokens)
    np.testing.assert_allclose(coarse.chances, exact.chances, rtol=0.05)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"temperature": 1.0, "seed": 3},
        {"temperature": 0.7, "seed": 2**63 + 5, "top_p": 0.9},
        {"temperature": 1.3, "seed": 8, "top_k": 20, "min_p": 0.02},
    ],
    ids=str,
)
def test_heads_that_repeat_the_trunk_draft_what_it_would_pick(
    params: dict[str, Any], tiny_with_heads: Model, tmp_path: Path
) -> None:
    """Oracle: pick() on the trunk's logits, at the position of the draft.

    The matrix of a linear head is made the identity, so its scores are the trunk's own; each further depth
    scores the same state at the next position.
    """
    path = shutil.copytree(tiny_with_heads("gloeckle-linear", kind="f32"), tmp_path / "model")
    overwrite_with_identity(path)
    engine = Engine(str(path), context=128, two_stage_head=False)
    feed(engine, 0, TEXT[:-1])
    differing = 0
    for step in range(12):
        token = TEXT[-1] if step == 0 else step * 17
        logits = verify(engine, chain(engine, 0, [token])).logits[0]
        engine.commit([(0, [0])])
        native = SamplingParams(**params)
        drafts = draft(engine, params=params)
        place = engine.length(0)
        expected = [pick(logits, native, place + 1 + k) for k in range(3)]
        differing += int((drafts.tokens[:, 0] != expected).sum())
    assert differing <= 1  # the trunk's scores and the head's differ in their last bits


def overwrite_with_identity(path: Path) -> None:
    model = read_model_dir(path)
    places = [stored.begin for name, stored in model.tensors.items() if name.endswith(".linear.weight")]
    identity = np.eye(model.config.hidden_size, dtype=np.float32).tobytes()
    del model
    with (path / "model.safetensors").open("r+b") as file:
        for begin in places:
            file.seek(begin)
            file.write(identity)


def test_filters_leave_the_rest_without_a_chance(tiny_with_heads: Model) -> None:
    engine = ready(tiny_with_heads("recurrent"))
    few = draft(engine, width=4, params={"temperature": 1.0, "seed": 1, "top_k": 2})
    assert (few.chances[:, :2] > 0).all()
    assert (few.chances[:, 2:] == 0).all()
    np.testing.assert_allclose(few.chances.sum(axis=1), 1, rtol=1e-5)
    assert all(len(set(row)) == 4 for row in few.tokens.tolist())


def test_what_the_engine_says_of_its_heads(tiny_with_heads: Model, tiny_model: Path) -> None:
    info = Engine(str(tiny_with_heads("recurrent")), context=32).info
    assert info.extra_heads == 4
    assert info.acceptance == pytest.approx([0.6, 0.5, 0.4, 0.3])
    unembed, modules = 256 * 96, (2 * 128 * 192 + 96 * 128)
    gains = 3 * 96 * 4
    assert unembed * 9 // 16 < info.head_bytes - modules * 5 // 8 - gains < unembed * 17 // 16
    plain = Engine(str(tiny_model), context=32).info
    assert (plain.extra_heads, plain.head_bytes, plain.acceptance) == (0, 0, [])


def test_a_draft_reads_the_output_matrix_of_its_head_alone(tiny_with_heads: Model) -> None:
    """The tiny model's output matrix is of the same kind and size, and scores where heads have none."""
    infos = [
        Engine(str(tiny_with_heads(preset)), context=32, two_stage_head=False).info
        for preset in ("medusa", "medusa-own")
    ]
    assert infos[0].head_bytes == infos[1].head_bytes
    assert infos[0].weight_bytes == infos[1].weight_bytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slots": [2]}, r"rows\[0\]\.slot is 2; expected 0 \.\. 1"),
        ({"slots": [-1]}, r"rows\[0\]\.slot is -1"),
        ({"slots": [1]}, r"rows\[0\]\.slot is 1; expected a slot with committed positions"),
        ({"tokens": [512]}, r"rows\[0\]\.token is 512; expected 0 \.\. 511"),
        ({"tokens": [-1]}, r"rows\[0\]\.token is -1"),
        ({"counts": [0]}, r"rows\[0\]\.count is 0; expected 1 \.\. 4"),
        ({"counts": [5]}, r"rows\[0\]\.count is 5; expected 1 \.\. 4"),
        ({"widths": [0]}, r"rows\[0\]\.width is 0; expected 1 \.\. 8"),
        ({"widths": [9]}, r"rows\[0\]\.width is 9; expected 1 \.\. 8"),
        ({"params": [{"temperature": -1.0}]}, "temperature"),
        ({"counts": [1, 1]}, "the same length"),
    ],
    ids=str,
)
def test_a_malformed_row_is_refused(change: dict[str, Any], message: str, tiny_with_heads: Model) -> None:
    engine = ready(tiny_with_heads("recurrent"), slots=2)
    arguments = {"slots": [0], "tokens": [1], "counts": [1], "widths": [1], "params": [GREEDY]} | change
    arguments["params"] = [SamplingParams(**params) for params in arguments["params"]]
    with pytest.raises(ArgumentError, match=message):
        engine.draft(**arguments)
    assert len(draft(engine).tokens) == 4


def test_a_slot_named_twice_is_refused(tiny_with_heads: Model) -> None:
    engine = ready(tiny_with_heads("recurrent"))
    with pytest.raises(ArgumentError, match=r"rows\[1\]\.slot is 0; expected each slot at most once"):
        engine.draft([0, 0], [1, 1], [1, 1], [1, 1], [SamplingParams(), SamplingParams()])


def test_a_model_without_heads_says_so(tiny_model: Path) -> None:
    engine = Engine(str(tiny_model), context=32)
    feed(engine, 0, TEXT)
    with pytest.raises(UnsupportedError, match="no extra heads"):
        engine.draft([0], [1], [1], [1], [SamplingParams()])
