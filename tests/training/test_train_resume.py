"""Runs that are cut off take the steps of one that is not; what does not fit is refused by name."""

from __future__ import annotations

import json
import math
import shutil
import signal
from dataclasses import asdict, replace
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from train_runs import kill_after, make_config, start, write_texts

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.models.layers import Block
from mtp_rt.training.errors import TrainingError
from mtp_rt.training.pretrain import trainer as trainer_module
from mtp_rt.training.pretrain.checkpoint import CHECKPOINT, check_settings, load_checkpoint
from mtp_rt.training.pretrain.run import Listener, train
from mtp_rt.training.pretrain.trainer import Trainer
from mtp_rt.training.run_log import LOG_FILE, read_rows

NONE = Listener()


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "counting")


@pytest.fixture(scope="module")
def whole(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Oracle: a run that nothing cut off."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(make_config(texts), out, resume=False, listener=NONE)
    return out


def timeless(folder: Path) -> list[dict[str, str]]:
    return [{name: cell for name, cell in row.items() if name != "seconds"} for row in read_rows(folder)]


def assert_same_run(found: Path, expected: Path) -> None:
    assert timeless(found) == timeless(expected)  # every digit of every loss
    ours, theirs = load_checkpoint(found / CHECKPOINT), load_checkpoint(expected / CHECKPOINT)
    assert ours is not None and theirs is not None
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all((ours.tensors[name] == value).all() for name, value in theirs.tensors.items())
    assert ours.place.tokens == theirs.place.tokens
    for name in ("config.json", "model.safetensors"):
        assert (found / "model" / name).read_bytes() == (expected / "model" / name).read_bytes()


# A checkpoint comes every 7 steps, an evaluation every 10; a kill at a step that was made before comes early.
KILLS = (0, 1, 3, 3, 5, 6, 7, 8, 9, 9, 10, 12, 13, 14, 16, 17, 19, 20, 22, 26)


def test_a_run_that_is_killed_repeats_the_whole_one(texts: Path, whole: Path, tmp_path: Path) -> None:
    config, out = make_config(texts), tmp_path / "run"
    for step in KILLS:
        process = start(config, out, resume=True)
        kill_after(process, out / LOG_FILE, step, signal.SIGKILL)
        assert process.exitcode == -signal.SIGKILL
    last = start(config, out, resume=True)
    last.join()
    assert last.exitcode == 0
    assert_same_run(out, whole)


def test_sigterm_leaves_a_checkpoint_and_success(texts: Path, whole: Path, tmp_path: Path) -> None:
    config, out = make_config(texts), tmp_path / "run"
    process = start(config, out, resume=False)
    kill_after(process, out / LOG_FILE, 4, signal.SIGTERM)
    assert process.exitcode == 0
    saved = load_checkpoint(out / CHECKPOINT)
    assert saved is not None and 4 <= saved.place.step < 30
    assert (out / "model" / "config.json").exists()
    assert train(config, out, resume=True, listener=NONE)["finished"]
    assert_same_run(out, whole)


def test_training_learns_and_tells_how_far_it_is(whole: Path) -> None:
    rows = read_rows(whole)
    first, last = (row for row in (rows[0], rows[-2]))
    assert float(last["loss_1"]) < 0.7 * float(first["loss_1"])
    evaluations = [row for row in rows if row["dev_loss_1"]]
    assert [row["step"] for row in evaluations] == ["10", "20", "30"]
    assert all(1 <= float(row["tokens_per_step"]) <= 2 for row in evaluations)
    # Bits per byte: nats per token / ln 2, times tokens per byte, which is one but for the end tokens.
    bits = float(evaluations[-1]["dev_loss_1"]) / math.log(2)
    assert bits < float(evaluations[-1]["dev_bits_per_byte_1"]) < 1.02 * bits


def test_parts_of_a_step_add_up_to_it(texts: Path, tmp_path: Path) -> None:
    losses = []
    for accumulate in (1, 4):
        out = tmp_path / str(accumulate)
        train(make_config(texts, f"training.accumulate={accumulate}"), out, resume=False, listener=NONE)
        losses.append([float(row["loss_2"]) for row in read_rows(out) if row["loss_2"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_compiled_blocks_take_the_same_steps(
    texts: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the run without. The tracer is the real one; what it finds runs as it stands, not compiled."""
    monkeypatch.setattr(Block, "compile", partialmethod(nn.Module.compile, backend="eager"))
    out = tmp_path / "run"
    train(make_config(texts, "training.compile=true"), out, resume=False, listener=NONE)
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0
    found, expected = (
        [float(row["loss_1"]) for row in read_rows(folder) if row["loss_1"]] for folder in (out, whole)
    )
    assert len(found) == 30 and found == pytest.approx(expected, rel=1e-4)
    compiled, plain = load_checkpoint(out / CHECKPOINT), load_checkpoint(whole / CHECKPOINT)
    assert compiled is not None and plain is not None and compiled.tensors.keys() == plain.tensors.keys()


def test_longer_training_goes_on(texts: Path, whole: Path, tmp_path: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "run")
    assert train(make_config(texts, "training.steps=33"), out, resume=True, listener=NONE)["step"] == 33


REFUSED = [
    ("model.hidden_size=64", r"another architecture \(model.hidden_size 32 -> 64\)"),
    ("heads.preset=causal", r"another architecture \(heads.preset 'gloeckle' -> 'causal'\)"),
    ("heads.unembedding=own", r"another architecture \(heads.unembedding 'shared' -> 'own'\)"),
    ("training.learning_rate=1.0", r"other settings \(training.learning_rate 0.01 -> 1.0\)"),
    ("data.field=body", r"data.field 'text' -> 'body'"),
]


@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_other_settings_do_not_go_on(
    texts: Path, whole: Path, tmp_path: Path, change: str, says: str
) -> None:
    out = shutil.copytree(whole, tmp_path / "run")
    with pytest.raises(ArgumentError, match=says):
        train(make_config(texts, change), out, resume=True, listener=NONE)


def test_a_run_is_not_begun_over_another(texts: Path, whole: Path) -> None:
    with pytest.raises(ArgumentError, match="holds a run; add --resume"):
        train(make_config(texts), whole, resume=False, listener=NONE)


@pytest.mark.parametrize("name", [CHECKPOINT, "data/train.tokens.npy", "data/data.json"])
def test_damaged_files_are_named(texts: Path, whole: Path, tmp_path: Path, name: str) -> None:
    out = shutil.copytree(whole, tmp_path / "run")
    (out / name).write_bytes((out / name).read_bytes()[:40])
    with pytest.raises(ModelFormatError, match=r"checkpoint\.safetensors|data\.json"):
        train(make_config(texts), out, resume=True, listener=NONE)


def test_nan_stops_at_the_last_good_checkpoint(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real = tmp_path / "run", trainer_module.backward_head_by_head

    def breaks(*arguments, **options):
        return real(*arguments, **options) * (math.nan if current.place.step == 9 else 1.0)

    out.mkdir()
    current = Trainer(make_config(texts), out)
    monkeypatch.setattr(trainer_module, "backward_head_by_head", breaks)
    with pytest.raises(TrainingError, match=r"step 10: .*nan.*checkpoint\.safetensors holds the last good"):
        current.run()
    saved = load_checkpoint(out / CHECKPOINT)
    assert saved is not None and saved.place.step == 7
    assert all(tensor.isfinite().all() for tensor in saved.tensors.values())


@pytest.mark.parametrize("change", ["heads.unembedding=own", "heads.preset=anticausal"])
def test_other_models_train_and_what_a_directory_can_hold_drafts(
    texts: Path, tmp_path: Path, change: str
) -> None:
    out, own = tmp_path / "run", "own" in change
    made = train(make_config(texts, change), out, resume=False, listener=NONE)
    assert made["finished"] and len(made["losses"]) == 2
    assert (made["model"] is not None) == (made["tokens_per_step"] is not None) == own
    saved = load_checkpoint(out / CHECKPOINT)
    assert saved is not None and ("model.heads.0.unembed.weight" in saved.tensors) == own
    train(make_config(texts, change, "training.steps=31"), out, resume=True, listener=NONE)


def test_a_checkpoint_older_than_a_field_goes_on_with_its_default(whole: Path, texts: Path) -> None:
    settings = asdict(make_config(texts))
    saved = load_checkpoint(whole / CHECKPOINT)
    assert saved is not None
    older = json.loads(json.dumps(settings))
    del older["training"]["compile"], older["heads"]["unembedding"]
    check_settings(whole, replace(saved, settings=older), settings, saved.data)
    settings["training"]["compile"] = True
    with pytest.raises(ArgumentError, match=r"training.compile False -> True"):
        check_settings(whole, replace(saved, settings=older), settings, saved.data)


def test_too_little_room_is_said_before_anything_is_read(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ArgumentError, match=r"0 MB are free; make room"):
        train(make_config(texts), tmp_path / "run", resume=False, listener=NONE)
    assert not (tmp_path / "run" / "data").exists()
