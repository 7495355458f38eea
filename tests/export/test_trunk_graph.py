"""verify.onnx in plain onnxruntime against the float64 reference, and against itself in other splits.

What concerns one sequence holds for verify.single.onnx too, and all of it for graphs of opset 21.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_models import Runner

from mtp_rt.model_dir import read_model_dir
from reference import Reference

EXACT = ["f32", "bf16", "half_rope_f32", "odd_vocabulary_f32"]
QUANTISED = ["q8", "one_stage", "q4_head", "half_rope", "untied", "head_dim_64", "ungrouped", "narrow"]
TOLERANCE = 1e-4
FORMS = ["verify.onnx", "verify.single.onnx", "opset 21"]
ANY_BATCH = ["verify.onnx", "opset 21"]
TOKENS = [5, 17, 3, 250, 99, 31, 8, 77, 140, 2, 64]

Models = Callable[[str], Path]
Export = Callable[..., Path]


def graph(exported: Export, source: Path, form: str) -> Path:
    return exported(source, opset=21) / "verify.onnx" if form == "opset 21" else exported(source) / form


def prompt(path: Path) -> list[int]:
    size = read_model_dir(path).config.vocab_size
    return [token % size for token in TOKENS]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", EXACT)
def test_exact_kinds_agree_with_the_reference(
    name: str, form: str, variant: Models, exported: Export
) -> None:
    tokens = prompt(variant(name))
    want = Reference(variant(name)).run(tokens)
    got = Runner(graph(exported, variant(name), form)).chain([tokens], [0])
    np.testing.assert_allclose(got["logits"][0], want.logits, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(got["state"][0], want.states, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_kinds_are_off_by_their_8_bit_inputs_alone(
    name: str, form: str, variant: Models, exported: Export
) -> None:
    """Measured by what the same rounding of inputs does to the reference, with room for chance."""
    tokens = prompt(variant(name))
    exact = Reference(variant(name)).run(tokens).logits.numpy()
    rounded = Reference(variant(name), simulate=True).run(tokens).logits.numpy()
    got = Runner(graph(exported, variant(name), form)).chain([tokens], [0])["logits"][0]
    error = np.sqrt(np.mean((got - exact) ** 2))
    assert 0 < error < 3 * np.sqrt(np.mean((rounded - exact) ** 2))


@pytest.mark.parametrize("form", FORMS)
def test_a_prompt_in_chunks_gives_what_one_call_gives(form: str, variant: Models, exported: Export) -> None:
    file = graph(exported, variant("f32"), form)
    whole = Runner(file).chain([TOKENS], [0])
    runner = Runner(file)
    parts = [runner.chain([TOKENS[a:b]], [a]) for a, b in ((0, 4), (4, 5), (5, 11))]
    for name in ("logits", "state"):
        joined = np.concatenate([part[name] for part in parts], axis=1)
        np.testing.assert_allclose(joined, whole[name], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("form", ANY_BATCH)
def test_sequences_of_a_batch_keep_to_themselves(form: str, variant: Models, exported: Export) -> None:
    file = graph(exported, variant("f32"), form)
    texts, more = [TOKENS[:7], TOKENS[4:7]], [[9, 8], [7, 6]]
    batch = Runner(file, batch=2)
    for row, text in enumerate(texts):
        alone = Runner(file)
        alone.chain([text], [0])
        for name, cache in alone.caches.items():
            batch.caches[name][row] = cache[0]
        texts[row] = [*text, *more[row]]
    got = batch.chain(more, [7, 3])["logits"]
    for row, text in enumerate(texts):
        want = Runner(file).chain([text], [0])["logits"][0, -2:]
        np.testing.assert_allclose(got[row], want, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_a_tree_give_what_their_chains_give(form: str, variant: Models, exported: Export) -> None:
    file = graph(exported, variant("f32"), form)
    tokens, parents = [10, 20, 21, 30, 31, 40], [-1, 0, 0, 1, 2, 4]
    depths, tree = [], np.eye(len(tokens), dtype=bool)
    for row, parent in enumerate(parents):
        depths.append(0 if parent < 0 else depths[parent] + 1)
        if parent >= 0:
            tree[row] |= tree[parent]
    runner = Runner(file)
    runner.chain([TOKENS], [0])
    start = len(TOKENS)
    got = runner.run(
        tokens=np.array([tokens]),
        positions=np.array([depths]) + start,
        lengths=np.array([start]),
        tree=tree[None],
        rows=np.arange(len(tokens))[None],
    )["logits"][0]
    for row in range(len(tokens)):
        chain = [*TOKENS, *(tokens[i] for i in np.flatnonzero(tree[row]))]
        want = Runner(file).chain([chain], [0])["logits"][0, -1]
        np.testing.assert_allclose(got[row], want, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("form", FORMS)
def test_only_wanted_rows_are_scored(form: str, variant: Models, exported: Export) -> None:
    file = graph(exported, variant("f32"), form)
    every = Runner(file).chain([TOKENS], [0])
    some = Runner(file).chain([TOKENS], [0], rows=[[10, 2]])
    np.testing.assert_allclose(some["logits"], every["logits"][:, [10, 2]], rtol=0, atol=TOLERANCE)
    assert some["state"].shape == every["state"].shape


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["f32", "q4_head"])
def test_no_row_need_be_wanted(name: str, form: str, variant: Models, exported: Export) -> None:
    """As in the chunks of a long prompt, whose rows are written to the caches and no more."""
    runner = Runner(graph(exported, variant(name), form))
    nothing = runner.chain([TOKENS[:6]], [0], rows=np.empty((1, 0), np.int64))
    assert nothing["logits"].shape[:2] == (1, 0)
    want = Runner(graph(exported, variant(name), form)).chain([TOKENS], [0])["logits"][0, 6:]
    got = runner.chain([TOKENS[6:]], [6])["logits"][0]
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("form", FORMS)
def test_positions_far_out_are_rotated_exactly(form: str, variant: Models, exported: Export) -> None:
    """Keys of one token at positions 1,000 and 3 differ by the rotation alone, in float64 angles."""
    file = graph(exported, variant("half_rope_f32"), form)
    config = read_model_dir(file.parent).config
    keys = {}
    for position in (3, 1000):
        runner = Runner(file)
        runner.run(
            tokens=np.array([[42]]),
            positions=np.array([[position]]),
            lengths=np.array([0]),
            tree=np.ones((1, 1, 1), bool),
            rows=np.array([[0]]),
        )
        keys[position] = runner.caches["past.0.key"][0, :, 0]
    half = config.head_dim // 2
    angle = 997 * config.rope_theta ** (-np.arange(half) / half)
    first, second = keys[3][:, :half], keys[3][:, half:]
    turned = (first * np.cos(angle) - second * np.sin(angle), second * np.cos(angle) + first * np.sin(angle))
    np.testing.assert_allclose(keys[1000], np.concatenate(turned, axis=1), rtol=0, atol=1e-5)
