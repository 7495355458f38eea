"""Training of heads that starts from a model's heads, and starts that do not fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cycle import CONFIG as CYCLE
from cycle import write_cycle
from typer.testing import CliRunner

from mtp_rt.cli.main import app
from mtp_rt.errors import ArgumentError
from mtp_rt.training.distill.export import HeadKinds, trained_heads, write_heads
from mtp_rt.training.distill.fit import CHECKPOINT, Fitter, Report

CONFIG = replace(CYCLE, heads=2)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    return write_cycle(tmp_path_factory.mktemp("states"), tiny_model)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, states: Path) -> Path:
    """A model whose heads have learned the cycle, its weights stored without loss."""
    out = tmp_path_factory.mktemp("taught")
    Fitter(tiny_model, states, out / "heads", CONFIG).run()
    heads = trained_heads(tiny_model, out / "heads" / CHECKPOINT).heads
    write_heads(heads, tiny_model, out, HeadKinds("f32", "f32"), acceptance=None, card="")
    return out / "model"


def test_heads_start_as_they_were_taught(
    tiny_model: Path, states: Path, taught: Path, tmp_path: Path
) -> None:
    """The draft vocabulary may be another one: its rows are the trunk's."""
    config = replace(CONFIG, start=str(taught), draft_vocab=96, steps=1)
    reports: list[Report] = []
    fitter = Fitter(tiny_model, states, tmp_path, config, report=reports.append)
    before = trained_heads(tiny_model, taught.parent / "heads" / CHECKPOINT).heads.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in fitter.heads.state_dict().items())
    fitter.run()
    assert reports[0].dev.tokens_per_step == 3
    assert len(fitter.heads.draft_ids) == 96


def test_a_resumed_run_does_not_start_again(
    tiny_model: Path, states: Path, taught: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, start=str(taught), steps=3)
    first = Fitter(tiny_model, states, tmp_path, config)
    first.run()
    after = {name: value.clone() for name, value in first.heads.state_dict().items()}
    resumed = Fitter(tiny_model, states, tmp_path, config)
    assert all(torch.equal(value, after[name]) for name, value in resumed.heads.state_dict().items())
    with pytest.raises(ArgumentError, match=r"other settings \(start .*model' -> None\)"):
        Fitter(tiny_model, states, tmp_path, replace(config, start=None))


def test_starts_that_do_not_fit_are_refused(
    tiny_model: Path, states: Path, taught: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(taught, other)
    described = json.loads((other / "config.json").read_text())
    described["mtp_rt"]["source"] = {"name": "another model", "sha256": "0" * 64}
    (other / "config.json").write_text(json.dumps(described))
    for wrong, problem in (
        (replace(CONFIG, start=str(tiny_model)), "has no heads; name a model that has some"),
        (replace(CONFIG, start=str(taught), heads=3), r"other heads \(count 2, not 3\)"),
        (replace(CONFIG, start=str(taught), preset="hydra"), "other heads .*ask for heads as those are"),
        (replace(CONFIG, start=str(other)), "are for another model, not for"),
    ):
        with pytest.raises(ArgumentError, match=problem):
            Fitter(tiny_model, states, tmp_path / "run", wrong)


def test_the_command_refuses_such_a_start_before_anything_is_written(
    tiny_model: Path, tmp_path: Path
) -> None:
    given = ["--model", str(tiny_model), "--start", str(tiny_model), "--draft-vocab", "64"]
    result = CliRunner().invoke(app, ["distill", str(tmp_path / "run"), *given])
    assert result.exit_code != 0
    assert "has no heads" in str(result.exception)
    assert not (tmp_path / "run").exists()
