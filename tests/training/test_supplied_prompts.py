"""The write stage with prompts that a user brings along."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.training.distill import prompts as prompts_module
from mtp_rt.training.distill.line_file import read_lines
from mtp_rt.training.distill.prompts import SuppliedPrompt, prompt_hash
from mtp_rt.training.distill.run_folder import ModelIdentity, RunFolder
from mtp_rt.training.distill.write import WriteSettings, write_text

SETTINGS = WriteSettings(seed=7, max_user_tokens=64, max_answer_tokens=48)


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run", ModelIdentity.of(tiny_model))


def supplied(*texts: str) -> list[SuppliedPrompt]:
    return [SuppliedPrompt("mine", ({"role": "user", "content": text},)) for text in texts]


def test_supplied_prompts_are_answered_once_each(run: RunFolder, tiny_model: Path) -> None:
    """Duplicates, in other case and spacing, and overlong ones are dropped."""
    prompts = supplied("What is a file?", "what  is a FILE?", "word " * 2000, "How do I sort a list?")
    report = write_text(
        run, tiny_model, SETTINGS, tokens=10**6, prompts=prompts, prompts_only=True, slots=4, threads=1
    )
    lines = list(read_lines(run.text_file))
    assert [line["index"] for line in lines] == [0, 3]
    assert {line["source"] for line in lines} == {"mine"}
    assert report.dropped == {"duplicate": 1, "overlong": 1}
    with pytest.raises(ArgumentError, match="prompts"):
        write_text(run, tiny_model, SETTINGS, tokens=10**6, prompts=prompts[:2])


def test_the_model_goes_on_behind_supplied_prompts(run: RunFolder, tiny_model: Path) -> None:
    """A run that was cut off between the two goes on as if it had not been."""
    prompts = supplied("What is a file?", "word " * 2000, "How do I sort a list?")
    report = write_text(run, tiny_model, SETTINGS, tokens=500, prompts=prompts, slots=4, threads=1)
    lines = list(read_lines(run.text_file))
    assert [line["index"] for line in lines if line["source"] == "mine"] == [0, 2]
    assert all(line["source"].startswith("self:") for line in lines if line["index"] > 2)
    assert report.answer_tokens >= 500 and len(lines) > 3
    text = run.text_file.read_text()
    first = text.splitlines(keepends=True)[0]
    run.text_file.write_text(first)
    run.dropped_file.unlink()
    write_text(run, tiny_model, SETTINGS, tokens=500, prompts=prompts, slots=8, threads=2)
    assert run.text_file.read_text() == text


def test_evaluation_prompts_are_never_answered(
    run: RunFolder, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "What is a file?"
    monkeypatch.setattr(prompts_module, "evaluation_hashes", lambda: frozenset({prompt_hash(secret)}))
    prompts = supplied(
        "what is\na FILE?", "How do I sort a list?", f"Answer this:\n\n{secret}", f"{secret}\nSay!"
    )
    report = write_text(
        run, tiny_model, SETTINGS, tokens=10**6, prompts=prompts, prompts_only=True, slots=4, threads=1
    )
    assert [line["index"] for line in read_lines(run.text_file)] == [1]
    assert report.dropped == {"evaluation": 3}


def test_a_model_without_chat_template_needs_prompts(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    run = RunFolder(tmp_path / "run", ModelIdentity.of(folder))
    with pytest.raises(UnsupportedError, match="no chat template from which to write prompts: give a prompt"):
        write_text(run, folder, SETTINGS, tokens=100)
    prompts = supplied("A file is")
    with pytest.raises(UnsupportedError, match="--prompts-only"):
        write_text(run, folder, SETTINGS, tokens=100, prompts=prompts, threads=1)
    report = write_text(run, folder, SETTINGS, tokens=100, prompts=prompts, prompts_only=True, threads=1)
    assert report.dialogues == 1
