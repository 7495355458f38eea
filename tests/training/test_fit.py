"""The trainer on text that can be learned completely, and on what can go wrong."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cycle import CONFIG, write_cycle

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.training.distill import fit
from mtp_rt.training.distill.fit import CHECKPOINT, Fitter, Report
from mtp_rt.training.distill.fit_config import FitConfig
from mtp_rt.training.errors import TrainingError

DRAFTS = CONFIG.heads


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    return write_cycle(tmp_path_factory.mktemp("states"), tiny_model)


def train(
    model: Path, states: Path, out: Path, config: FitConfig, reports: list[Report] | None = None
) -> Any:
    fitter = Fitter(model, states, out, config, report=(reports if reports is not None else []).append)
    fitter.run()
    return fitter


def losses(out: Path) -> list[str]:
    with (out / "log.csv").open(newline="") as file:
        return [row["loss"] for row in csv.DictReader(file) if row["loss"]]


@pytest.mark.parametrize(
    ("preset", "label_share"),
    [
        ("recurrent", 0.0),
        ("recurrent", 1.0),
        ("hydra", 0.5),
        ("medusa", 0.5),
        ("fastmtp", 0.5),
        ("deepseek", 0.5),
    ],
)
def test_every_draft_learns_a_cycle(
    preset: str, label_share: float, tiny_model: Path, states: Path, tmp_path: Path
) -> None:
    """A cycle is guessed to the end only if inputs and targets of every draft are shifted right."""
    reports: list[Report] = []
    config = replace(CONFIG, preset=preset, label_share=label_share)
    train(tiny_model, states, tmp_path, config, reports)
    assert reports[-1].dev.alpha == (1.0,) * DRAFTS
    assert reports[-1].dev.tokens_per_step == 1 + DRAFTS
    assert reports[0].dev.tokens_per_step < 2


def test_a_resumed_run_repeats_every_loss(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    """Oracle: a run that was not cut off, bit for bit, over the border of an epoch."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    config = replace(CONFIG, steps=12, dropout=0.3, negatives=4)
    train(tiny_model, states, whole, config)
    fitter = Fitter(tiny_model, states, cut, config)
    for number, batch in enumerate(fitter._batches(), 1):
        fitter.train_step(batch)
        if number == 5:
            fitter._evaluate([])
        if number == 7:  # lost: behind the last checkpoint
            break
    resumed = train(tiny_model, states, cut, config)
    assert losses(cut) == losses(whole)
    assert resumed._place.epoch > 0
    saved = [torch.load(out / CHECKPOINT, weights_only=True)["average"] for out in (whole, cut)]
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])


def test_other_settings_do_not_resume(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    train(tiny_model, states, tmp_path, replace(CONFIG, steps=2))
    with pytest.raises(ArgumentError, match=r"batch 64 -> 32"):
        Fitter(tiny_model, states, tmp_path, replace(CONFIG, batch=32))


def test_new_shards_join_at_the_next_epoch(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    (folder / "0000.safetensors").write_bytes((states / "0000.safetensors").read_bytes())
    fitter = Fitter(tiny_model, folder, tmp_path / "out", CONFIG)
    batches = fitter._batches()
    slots = len(fitter._train)
    (folder / "0001.safetensors").write_bytes((states / "0000.safetensors").read_bytes())
    for _ in range(slots // CONFIG.batch):
        next(batches)
    assert len(fitter._train) == slots
    next(batches)
    assert len(fitter._train) == 2 * slots
    assert fitter._place.shards == ["0000.safetensors", "0001.safetensors"]


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(
    tiny_model: Path, states: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny_model, states, tmp_path, replace(CONFIG, steps=3))
    before = (tmp_path / CHECKPOINT).read_bytes()
    fitter = Fitter(tiny_model, states, tmp_path, replace(CONFIG, steps=6))
    nan = torch.full((), torch.nan, requires_grad=True)
    monkeypatch.setattr(fit.Objective, "__call__", lambda *_: (nan, [0.0] * DRAFTS))
    with pytest.raises(
        TrainingError, match=r"the loss of step 4 is nan; .*checkpoint\.pt holds the last good"
    ):
        fitter.run()
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_training_ends_when_nothing_improves(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, evaluate_every=1e-9, patience=3, steps=1000)
    fitter = train(tiny_model, states, tmp_path, config)
    assert fitter._place.step < 1000
    assert fitter._place.stale == 3


def test_a_damaged_checkpoint_is_named(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 nothing more")
    with pytest.raises(ModelFormatError, match=r"checkpoint\.pt.*is damaged"):
        Fitter(tiny_model, states, tmp_path, CONFIG)


def test_too_little_text_is_an_error(tiny_model: Path, states: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="record more text"):
        Fitter(tiny_model, states, tmp_path, replace(CONFIG, batch=100_000))
