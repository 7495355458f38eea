"""`mtp-rt evaluate` on the tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Command

PROMPTS = [
    {"prompt": "Once upon a time there was a cat.", "source": "story"},
    {"prompt": "One two three one two three one two three", "source": "count"},
    {"prompt": "The end of the story.", "source": "story"},
]


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(map(json.dumps, PROMPTS)) + "\n", encoding="utf-8")
    return str(file)


def test_lookup(command: Command, tiny_model: Path, prompts: str) -> None:
    """Oracle: the identity tokens = steps + accepted drafts; and one slot gives the counts of several."""
    arguments = ["--model", str(tiny_model), "--prompts", prompts, "--max-tokens", "40", "--ignore-eos"]
    arguments += [
        "--drafts",
        "3",
        "--draft-source",
        "lookup",
        "--seed",
        "1",
        "--temperature",
        "0.5",
        "--json",
    ]
    several, alone = (
        command("evaluate", *arguments, "--slots", slots, "--json").json for slots in ("3", "1")
    )
    assert several["per_source"] == alone["per_source"]
    assert several["tokens"] == 3 * 39
    stood = sum(round(share * several["steps"]) for share in several["cumulative"])
    assert several["tokens"] == several["steps"] + stood
    assert set(several["per_source"]) == {"story", "count"}
    steps = [figures["tokens_per_step"] for figures in several["per_source"].values()]
    assert several["mean_tokens_per_step"] == pytest.approx(sum(steps) / 2, abs=1e-4)
    assert (several["drafts"], several["draft_source"]) == (3, "lookup")


def test_prompts_beside_a_text_take_none_of_its_drafts(
    command: Command, tiny_model: Path, tmp_path: Path
) -> None:
    """Oracle: the same texts one at a time. A long prompt comes whenever one of two others ends."""
    long = " ".join(f"word {i}" for i in range(60))
    lines = [{"prompt": f"{long} {turn}", "source": "long"} for turn in range(6)]
    file = tmp_path / "long.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    arguments = [
        "--model",
        str(tiny_model),
        "--prompts",
        str(file),
        "--drafts",
        "15",
        "--ignore-eos",
        "--json",
    ]
    several, alone = (
        command("evaluate", *arguments, "--draft-source", "lookup", "-n", "24", "--slots", slots).json
        for slots in ("6", "1")
    )
    assert several["per_source"] == alone["per_source"]


def test_auto_copies_too(command: Command, tiny_with_heads: Callable[..., Path], prompts: str) -> None:
    """Oracle: heads that learned nothing, alone; only copies can bring more."""
    model = str(tiny_with_heads("recurrent"))
    arguments = ["--model", model, "--prompts", prompts, "-n", "60", "--ignore-eos", "--json"]
    auto = command("evaluate", *arguments).json
    heads = command("evaluate", *arguments, "--draft-source", "heads").json
    assert (auto["drafts"], auto["draft_source"]) == (heads["drafts"], "auto")
    assert auto["steps"] < heads["steps"]


def test_the_table_has_a_line_for_each_source(command: Command, tiny_model: Path, prompts: str) -> None:
    done = command("evaluate", "--model", str(tiny_model), "--prompts", prompts, "--max-tokens", "8")
    assert done.status == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line]
    assert lines[0][:4] == ["source", "prompts", "tokens", "tok/step"]
    assert [line[0] for line in lines[1:4]] == ["count", "story", "all"]


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["--drafts", "0"], 2, "at least 1"),
        (["--drafts", "16"], 2, "--drafts"),
        (["--draft-source", "none"], 2, "--draft-source"),
        (["--draft-source", "lookup", "--teacher-forced"], 1, "teacher-forced"),
        (["--prompts", "absent.jsonl"], 1, "absent.jsonl"),
    ],
)
def test_wrong_use_is_told(
    arguments: list[str], status: int, named: str, command: Command, tiny_model: Path
) -> None:
    done = command("evaluate", "--model", str(tiny_model), *arguments)
    assert done.status == status
    assert named in done.stderr
