"""Prompt files: the built-in one is complete, and bad lines are named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mtp_rt.bench import prompts
from mtp_rt.errors import ArgumentError


def test_built_in_prompts_cover_every_kind() -> None:
    kinds = Counter(prompt.source for prompt in prompts.built_in())
    assert kinds.keys() == {"chat", "code", "maths", "extraction", "json"}
    assert min(kinds.values()) >= 2
    texts = [prompt.plain() for prompt in prompts.built_in()]
    assert len(set(texts)) == len(texts)


def test_reads_prompts_and_conversations(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        '{"prompt": "a", "source": "x"}\n\n{"messages": [{"role": "user", "content": "b"}]}\n',
        encoding="utf-8",
    )
    one, two = prompts.read(file)
    assert (one.source, one.plain(), two.source, two.plain()) == ("x", "a", "all", "b")
    assert one.conversation() == [{"role": "user", "content": "a"}]
    assert two.conversation() == [{"role": "user", "content": "b"}]


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        "{}",
        '{"prompt": ""}',
        '{"prompt": 3}',
        '{"prompt": "a", "messages": []}',
        '{"messages": []}',
        '{"messages": [{"role": "user"}]}',
        '{"prompt": "a", "source": ""}',
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(ArgumentError, match=r"a\.jsonl, line 2"):
        prompts.parse(['{"prompt": "fine"}', line], "a.jsonl")


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="holds no prompt"):
        prompts.parse(["", "  "], "empty.jsonl")
    with pytest.raises(ArgumentError, match="cannot read"):
        prompts.read(tmp_path / "absent.jsonl")
