"""A run's folder: whose it is, what its stages were begun with, who works on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.training import files
from mtp_rt.training.distill.run_folder import ModelIdentity, RunFolder
from mtp_rt.training.files import write_atomically

OURS = ModelIdentity("ours", "a" * 64, "b" * 64)


def test_a_folder_is_made_and_opened_again(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new" / "run", OURS).claim("write", {"seed": 3, "temperatures": (0.0, 1.0)})
    again = RunFolder(tmp_path / "new" / "run", OURS)
    again.claim("write", {"seed": 3, "temperatures": (0.0, 1.0)})
    assert again.settings("write") == {"seed": 3, "temperatures": [0.0, 1.0]}
    assert again.settings("record") is None


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (ModelIdentity("x", "c" * 64, "b" * 64), "sha256"),
        (ModelIdentity("x", "a" * 64, "c" * 64), "tokenizer"),
    ],
)
def test_the_run_of_another_model_is_refused(tmp_path: Path, other: ModelIdentity, field: str) -> None:
    RunFolder(tmp_path, OURS)
    with pytest.raises(ArgumentError, match=rf"is the run of another model: 'ours' with {field}"):
        RunFolder(tmp_path, other)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="is not empty and holds no run"):
        RunFolder(tmp_path, OURS)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", ".run.lock"}
    with pytest.raises(ArgumentError, match="is not a folder"):
        RunFolder(tmp_path / "thesis.txt", OURS)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format_version": 2}', '{"format_version": 1, "model": 3}']
)
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    RunFolder(tmp_path, OURS)
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ModelFormatError, match=r"run\.json"):
        RunFolder(tmp_path, OURS)


def test_other_settings_of_a_stage_are_refused_by_name(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, OURS)
    run.claim("write", {"seed": 3, "kept": 1})
    with pytest.raises(ArgumentError, match=r"write stage was begun with other settings \(seed 3 -> 4\)"):
        run.claim("write", {"seed": 4, "kept": 1})
    run.claim("record", {"seed": 4})


def test_one_process_works_on_a_stage(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path, OURS), RunFolder(tmp_path, OURS)
    with first.working("write"):
        with (
            pytest.raises(ArgumentError, match="another process works on the write stage"),
            second.working("write"),
        ):
            pass
        with second.working("record"):
            pass
    with second.working("write"):
        pass


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, [b"old"])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, [b"new", b"er"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_identity_is_the_sources_sum_or_the_weights(tiny_model: Path, tmp_path: Path) -> None:
    """Oracle: the committed tiny model says nothing of a sum, so its weights' own is taken."""
    import hashlib

    identity = ModelIdentity.of(tiny_model)
    weights = hashlib.sha256((tiny_model / "model.safetensors").read_bytes()).hexdigest()
    assert identity.sha256 == weights
    assert identity.name == "tiny"
    config = json.loads((tiny_model / "config.json").read_text())
    config["mtp_rt"]["source"]["sha256"] = "e" * 64
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert ModelIdentity.of(tmp_path) == ModelIdentity("tiny", "e" * 64, "")
