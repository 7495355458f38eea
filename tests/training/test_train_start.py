"""Runs that start from the weights of a model directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from train_runs import make_config, write_texts

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.training.pretrain.config import TrainConfig
from mtp_rt.training.pretrain.trainer import Trainer

BRIEF = ("training.steps=2", "training.warm_up=0")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("start") / "texts")


@pytest.fixture(scope="module")
def trained(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A finished run, stored exactly."""
    return finish(make_config(texts, *BRIEF), tmp_path_factory.mktemp("trained"))


def open_run(config: TrainConfig, out: Path) -> Trainer:
    out.mkdir(parents=True, exist_ok=True)
    return Trainer(config, out)


def finish(config: TrainConfig, out: Path) -> Trainer:
    trainer = open_run(config, out)
    trainer.run()
    return trainer


def state(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.model.named_parameters()}


def begin(texts: Path, trained: Trainer, out: Path, *changes: str) -> Trainer:
    return open_run(make_config(texts, f'training.start="{trained._out / "model"}"', *BRIEF, *changes), out)


@pytest.mark.parametrize("change", ["model.tied=false", "model.tied=true", "heads.unembedding=own"])
def test_the_first_weights_are_the_stored_ones(texts: Path, change: str, tmp_path: Path) -> None:
    first = finish(make_config(texts, *BRIEF, change), tmp_path / "first")
    second = begin(texts, first, tmp_path / "second", change, "training.seed=5")
    assert second.place.step == 0
    found, expected = state(second), state(first)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_training_goes_on_from_them(texts: Path, trained: Trainer, tmp_path: Path) -> None:
    """A step on drawn weights would not have the lower loss."""
    drawn = open_run(make_config(texts, *BRIEF), tmp_path / "drawn")
    started = begin(texts, trained, tmp_path / "started")
    losses = [trainer._measure().dev.losses[0] for trainer in (drawn, started, trained)]
    assert losses[0] > losses[1] == losses[2]


def test_heads_that_it_lacks_start_anew(texts: Path, tmp_path: Path) -> None:
    changes = ("heads.preset=recurrent", "heads.intermediate_size=32")
    one = finish(make_config(texts, *BRIEF, *changes, "heads.n=1"), tmp_path / "one")
    two = begin(texts, one, tmp_path / "two", *changes, "heads.n=2")
    drawn = open_run(make_config(texts, *BRIEF, *changes, "heads.n=2"), tmp_path / "drawn")
    found, new, expected = state(two), state(drawn), state(one)
    for name, value in found.items():
        assert torch.equal(value, expected[name] if name in expected else new[name])
    assert any(name.startswith("heads.") for name in found)


def test_a_run_that_goes_on_needs_it_no_more(texts: Path, trained: Trainer, tmp_path: Path) -> None:
    source = Path(shutil.copytree(trained._out, tmp_path / "source"))
    config = make_config(texts, f'training.start="{source / "model"}"', *BRIEF)
    uncut = state(finish(config, tmp_path / "out"))
    shutil.rmtree(source)
    again = state(open_run(config, tmp_path / "out"))
    assert all(torch.equal(again[name], uncut[name]) for name in uncut)


REFUSED = [
    (["model.intermediate_size=64"], "another architecture: intermediate_size 32, not 64"),
    (["model.rope_theta=500.0"], r"another architecture: rope_theta 10000.0, not 500.0"),
    (["heads.n=1", "model.layers=1"], "has other heads"),
    (["heads.preset=medusa", "model.layers=1"], "has other heads"),
    (["heads.unembedding=own"], "has other heads"),
    (["heads.preset=anticausal"], "cannot be of this model: an anticausal chain"),
]


@pytest.mark.parametrize(("changes", "problem"), REFUSED)
def test_another_model_is_refused(
    texts: Path, trained: Trainer, tmp_path: Path, changes: list[str], problem: str
) -> None:
    with pytest.raises(ArgumentError, match=rf"training.start: .*model: .*{problem}"):
        begin(texts, trained, tmp_path / "out", *changes)


def test_another_tokenizer_is_refused(texts: Path, trained: Trainer, tmp_path: Path) -> None:
    source = Path(shutil.copytree(trained._out, tmp_path / "source"))
    config = make_config(texts, f'training.start="{source / "model"}"', *BRIEF)
    with (source / "model" / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(ArgumentError, match=r"has another tokenizer; name its own in data.tokenizer"):
        open_run(config, tmp_path / "out")
    (source / "model" / "tokenizer.json").unlink()
    with pytest.raises(ArgumentError, match="has another tokenizer"):
        open_run(config, tmp_path / "out")
    shutil.rmtree(source)
    with pytest.raises(ModelFormatError, match=r"config.json"):
        open_run(config, tmp_path / "out")
