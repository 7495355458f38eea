"""Arguments of `mtp-rt distill` that are refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Command

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--prompts-only"], "--prompts-only needs --prompts FILE"),
        (["--temperatures", "0,warm"], "--temperatures: '0,warm' is not numbers with commas between them"),
        (["--temperatures", ""], "--temperatures: '' is not numbers"),
        (["--prompts", "missing.jsonl"], "missing.jsonl"),
        (["--seed", "4294967296"], "seed must be an integer in [0, 2**32)"),
        (["--draft-vocab", "100000"], "draft"),
    ],
)
def test_what_cannot_be_is_refused(
    command: Command, tiny_model: Path, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    done = command("distill", str(tmp_path / "run"), "--model", str(tiny_model), *arguments)
    assert done.status == 1
    assert problem in done.stderr
    assert not (tmp_path / "run").exists()
