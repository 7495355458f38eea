"""Heads that start from tapped layers, whose values are of very different sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cycle import CONFIG as CYCLE
from cycle import PERIOD, cycles
from shard_files import write_states

from mtp_rt import _core
from mtp_rt.model_dir import read_model_dir
from mtp_rt.models.heads import heads_config
from mtp_rt.training.distill.acceptance import measure
from mtp_rt.training.distill.export import HeadKinds, trained_heads, write_heads
from mtp_rt.training.distill.fit import CHECKPOINT, Fitter, Report
from mtp_rt.training.distill.frozen import heads_on
from mtp_rt.training.distill.slots import SlotSet

CONFIG = replace(CYCLE, preset="tapped")


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A cycle of tokens, of which taps alone tell: codes of it, from a hundredth to a thousand in size."""
    folder = tmp_path_factory.mktemp("states")
    size = read_model_dir(tiny_model).config.hidden_size
    generator = np.random.default_rng(0)
    codes = generator.normal(size=(PERIOD, 2, size)) * 10 ** generator.uniform(-2, 3, size=(2, size))
    texts = cycles()
    taps = [codes[text].astype(np.float32) for text in texts]
    blank = [generator.normal(size=(40, size)).astype(np.float32) for _ in texts]
    write_states(folder, texts, blank, taps=taps)
    return folder


def test_what_small_values_tell_is_learned(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    """Heads that leave training read taps as they are: they draft as those in training did."""
    reports: list[Report] = []
    Fitter(tiny_model, states, tmp_path, CONFIG, report=reports.append).run()
    assert reports[-1].dev.alpha == (1.0,) * 3
    slots = SlotSet(states, "dev", 3, greedy=True)
    trained = trained_heads(tiny_model, tmp_path / CHECKPOINT).heads
    found = measure(trained, slots, slots.spread(CONFIG.dev_slots), torch.float32)
    assert found.alpha == reports[-1].dev.alpha


def test_a_resumed_run_keeps_its_scale(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    Fitter(tiny_model, states, whole, replace(CONFIG, steps=6)).run()
    fitter = Fitter(tiny_model, states, cut, replace(CONFIG, steps=6))
    for _, batch in zip(range(3), fitter._batches(), strict=False):
        fitter.train_step(batch)
    fitter._evaluate([])
    Fitter(tiny_model, states, cut, replace(CONFIG, steps=6)).run()
    ours, theirs = (torch.load(out / CHECKPOINT, weights_only=True) for out in (cut, whole))
    assert torch.equal(ours["tap_scale"], theirs["tap_scale"])
    assert all(torch.equal(value, theirs["heads"][name]) for name, value in ours["heads"].items())


def test_training_begins_near_the_trunks_state(tiny_model: Path, tmp_path: Path) -> None:
    """Oracle: states that are a linear map of the taps are found again."""
    size = read_model_dir(tiny_model).config.hidden_size
    generator = np.random.default_rng(1)
    texts = [generator.integers(0, 60, 80).astype(np.int32) for _ in range(8)]
    taps = [generator.normal(size=(80, 2, size)).astype(np.float32) for _ in texts]
    mixed = (generator.normal(size=(2 * size, size)) / np.sqrt(2 * size)).astype(np.float32)
    write_states(tmp_path / "states", texts, [tap.reshape(80, -1) @ mixed for tap in taps], taps=taps)
    fitter = Fitter(tiny_model, tmp_path / "states", tmp_path / "out", CONFIG)
    batch = fitter._train.batch(np.arange(20))
    assert batch.taps_NLD is not None
    with torch.no_grad():
        begun = fitter.heads.start(torch.from_numpy(batch.states_ND), torch.from_numpy(batch.taps_NLD))
    np.testing.assert_allclose(begun.numpy(), batch.states_ND, atol=0.05)


def test_tapped_heads_start_from_tapped_heads(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    Fitter(tiny_model, states, tmp_path / "first", CONFIG).run()
    heads = trained_heads(tiny_model, tmp_path / "first" / CHECKPOINT).heads
    write_heads(heads, tiny_model, tmp_path, HeadKinds("f32", "f32"), acceptance=None, card="")
    reports: list[Report] = []
    config = replace(CONFIG, start=str(tmp_path / "model"), steps=1)
    Fitter(tiny_model, states, tmp_path / "second", config, report=reports.append).run()
    assert reports[0].dev.tokens_per_step == 4


def test_tapped_heads_start_from_heads_without_taps(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    """The module is the same, and the fuse stands in for the state that it read; taps may lie unread."""
    Fitter(tiny_model, states, tmp_path / "first", replace(CONFIG, preset="recurrent", steps=3)).run()
    heads = trained_heads(tiny_model, tmp_path / "first" / CHECKPOINT).heads
    write_heads(heads, tiny_model, tmp_path, HeadKinds("f32", "f32"), acceptance=None, card="")
    config = replace(CONFIG, start=str(tmp_path / "model"))
    fitter = Fitter(tiny_model, states, tmp_path / "second", config)
    fitted = fitter.heads.state_dict()
    assert set(fitted) - set(heads.state_dict()) == {"fuse.weight"}
    assert all(torch.equal(fitted[name], value) for name, value in heads.state_dict().items())


@pytest.mark.parametrize("kinds", [HeadKinds("f32", "f32"), HeadKinds("q8", "q8")])
def test_the_engine_drafts_from_taps_as_torch_does(
    kinds: HeadKinds, tiny_model: Path, tmp_path: Path
) -> None:
    trunk = read_model_dir(tiny_model)
    config = heads_config("tapped", trunk.config, 3, intermediate_size=64, draft_vocab_size=96)
    torch.manual_seed(3)
    heads = heads_on(trunk, config, torch.arange(96) * 2 + 1)
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.ndim == 1 else 0.0, std=0.1)
    write_heads(heads, tiny_model, tmp_path, kinds, acceptance=None, card="")
    engine = _core.Engine(str(tmp_path / "model"), threads=1)
    text = np.random.default_rng(0).integers(3, 200, 20).tolist()
    rows, no = list(range(len(text))), [False] * len(text)
    parents, taps = [row - 1 for row in rows], list(config.taps)
    _, states, tapped = engine.verify([0] * len(text), text, rows, parents, no, [True] * len(text), taps)
    engine.commit([(0, rows)])
    tokens, chances = engine.draft([0], [7], [3], [1], [_core.SamplingParams()])
    made_from = torch.tensor([[7, *tokens[:-1].tolist()]])
    with torch.no_grad():
        start = heads.start(torch.from_numpy(states[-1:]), torch.from_numpy(tapped[-1:]))
        made = heads.unroll(start, made_from)
        expected = torch.cat([heads.logits(state) for state in made]).softmax(dim=1)
    rows_of = heads.row_of_token[torch.from_numpy(tokens.astype(np.int64))]
    theirs = expected[torch.arange(3), rows_of].numpy()
    np.testing.assert_allclose(chances, theirs, rtol=2e-3 if kinds.body == "f32" else 0.2)
