"""Heads as they are shipped: what the native engine drafts is what PyTorch computes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shard_files import write_states

from mtp_rt import _core
from mtp_rt.model_dir import read_model_dir
from mtp_rt.models.heads import ExtraHeads, heads_config
from mtp_rt.training.distill.acceptance import Acceptance, measure, walk
from mtp_rt.training.distill.export import HeadKinds, write_heads
from mtp_rt.training.distill.frozen import heads_on
from mtp_rt.training.distill.native_acceptance import measure_native
from mtp_rt.training.distill.slots import SlotSet

DRAFTS = 3
EXACT = HeadKinds("f32", "f32")


def random_heads(model: Path, preset: str, draft_vocab: int | None = 96) -> ExtraHeads:
    trunk = read_model_dir(model)
    config = heads_config(preset, trunk.config, DRAFTS, intermediate_size=64, draft_vocab_size=draft_vocab)
    torch.manual_seed(3)
    ids = None if draft_vocab is None else torch.arange(draft_vocab) * 2 + 1
    heads = heads_on(trunk, config, ids)
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.ndim == 1 else 0.0, std=0.1)
    return heads


def run_engine(engine: _core.Engine, text: list[int]) -> np.ndarray:
    """Commit a text behind what slot 0 holds; return its states."""
    rows, begin = list(range(len(text))), engine.length(0)
    positions, parents = [begin + row for row in rows], [row - 1 for row in rows]
    every = [True] * len(text)
    _, states, _ = engine.verify([0] * len(text), text, positions, parents, [False] * len(text), every)
    engine.commit([(0, rows)])
    return states


def draft(engine: _core.Engine, token: int, width: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens and chances [DRAFTS, width] behind what slot 0 holds and `token`."""
    tokens, chances = engine.draft([0], [token], [DRAFTS], [width], [_core.SamplingParams()])
    return tokens.reshape(DRAFTS, width), chances.reshape(DRAFTS, width)


@pytest.mark.parametrize("draft_vocab", [96, None])
@pytest.mark.parametrize("preset", ["recurrent", "hydra", "medusa", "gloeckle-linear"])
def test_the_engine_drafts_what_torch_computes(
    preset: str, draft_vocab: int | None, tiny_model: Path, tmp_path: Path
) -> None:
    heads = random_heads(tiny_model, preset, draft_vocab)
    write_heads(heads, tiny_model, tmp_path, EXACT, acceptance=None, card="")
    engine = _core.Engine(str(tmp_path / "model"), threads=1)
    text = np.random.default_rng(0).integers(3, 200, 20).tolist()
    states = run_engine(engine, text)
    tokens, chances = draft(engine, 7, width=4)
    # Each draft is made from the first candidate of the one before it.
    made_from = torch.tensor([[7, *tokens[:-1, 0].tolist()]])
    with torch.no_grad():
        made = heads.unroll(torch.from_numpy(states[-1:]), made_from)
        expected = torch.cat([heads.logits(state) for state in made]).softmax(dim=1)
    # The trunk's own output matrix has 8 bits, and then the state has, too.
    tolerance = {"rtol": 2e-3} if draft_vocab else {"rtol": 5e-2, "atol": 3e-3}
    for depth in range(DRAFTS):
        rows = heads.row_of_token[torch.from_numpy(tokens[depth]).long()]
        assert (rows >= 0).all()
        theirs = expected[depth, rows].numpy()
        np.testing.assert_allclose(chances[depth], theirs, **tolerance)
        best = expected[depth].topk(4).values.numpy()
        np.testing.assert_allclose(np.sort(theirs)[::-1], best, **tolerance)


def write_partly_drafted(engine: _core.Engine, length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a text that often goes on as its drafts say, and its states."""
    generator = np.random.default_rng(seed)
    text = generator.integers(3, 200, 80 if seed == 0 else 5).tolist()  # once longer than a call
    states = [run_engine(engine, text[:-1])]
    while len(text) < length:
        drafts, _ = draft(engine, text[-1])
        more = drafts[: generator.integers(0, DRAFTS + 1), 0].tolist()
        more.append(int(generator.integers(3, 200)))
        states.append(run_engine(engine, [text[-1], *more[:-1]]))
        text += more
    states.append(run_engine(engine, text[-1:]))
    engine.release(0)
    return np.array(text, np.int32), np.concatenate(states)


def test_native_acceptance_is_that_of_torch(tiny_model: Path, tmp_path: Path) -> None:
    """More texts than slots, a prompt that is longer than a call, drafts right and wrong at every depth."""
    heads = random_heads(tiny_model, "recurrent")
    write_heads(heads, tiny_model, tmp_path, EXACT, acceptance=None, card="")
    engine = _core.Engine(str(tmp_path / "model"), threads=1)
    written = [write_partly_drafted(engine, 100 if seed == 0 else 20 + seed, seed) for seed in range(11)]
    texts, states = [text for text, _ in written], [state for _, state in written]
    prompts = [70, *[5] * 10]
    write_states(tmp_path / "states", texts, states, splits=["dev"] * len(texts), prompt=prompts)
    slots = SlotSet(tmp_path / "states", "dev", DRAFTS)
    ours = measure(heads, slots, np.arange(len(slots)), torch.float32)
    odd = {number: ("even", "odd")[number % 2] for number in range(1000)}
    native = measure_native(tmp_path / "model", tmp_path / "states", 10_000, threads=1, sources=odd)
    assert native.slots == ours.slots == sum(part.slots for part in native.by_source.values())
    assert set(native.by_source) == {"even", "odd"}
    assert 1 < native.walked < native.tokens_per_step + 1
    assert all(0.2 < chance < 0.95 for chance in ours.alpha)
    np.testing.assert_allclose(native.alpha, ours.alpha, atol=0.02)  # states are stored in 16 bits


def test_what_is_shipped_says_what_it_is(tiny_model: Path, tmp_path: Path) -> None:
    heads = random_heads(tiny_model, "recurrent")
    right = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0], [1, 1, 1]], bool)
    acceptance = Acceptance.of(right, np.ones_like(right))
    described = write_heads(
        heads, tiny_model, tmp_path, HeadKinds("q4", "q8"), acceptance=acceptance, card="# A card\n"
    )
    assert described.acceptance == (0.75, 0.6667, 0.5)
    assert read_model_dir(tmp_path / "model").config.extra_heads == described
    assert replace(described, acceptance=None, quantization=None) == heads.config
    package = json.loads((tmp_path / "package" / "config.json").read_text())["mtp_rt_heads"]
    assert package["heads"]["quantization"] == {"heads": "q4", "unembed": "q8"}
    assert (tmp_path / "package" / "README.md").read_text() == "# A card\n"


def test_acceptance_counts_only_what_could_be_asked() -> None:
    right = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    valid = np.array([[1, 0, 0], [1, 1, 1], [1, 1, 1]], bool)
    counted = Acceptance.of(right, valid)
    assert counted.alpha == (1.0, 0.5, 0.0)
    assert counted.cumulative == (1.0, 0.5, 0.0)
    assert counted.tokens_per_step == 2.5


def test_a_walk_steps_over_what_it_accepted() -> None:
    """By hand: steps at 0 (3 tokens), 3 (1), 4 (2) in the first text, at 0 (1) and 1 (1) in the second."""
    assert walk([[2, 0, 1, 0, 1, 0], [0, 0]]) == (3 + 1 + 2 + 1 + 1) / 5
