"""Openings, splits, and the prompts that must not be trained on."""

from __future__ import annotations

import hashlib
import random

from mtp_rt.training.distill.prompts import (
    evaluation_hashes,
    normalised,
    opening,
    prompt_hash,
    split_of,
)


def test_split_follows_the_hash_of_the_text() -> None:
    """Oracle: the sum modulo ten, in hexadecimal arithmetic."""
    seen = set()
    for number in range(200):
        text = f"prompt {number}"
        bucket = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10
        assert split_of(text) == ("held_out" if bucket == 0 else "dev" if bucket == 1 else "train")
        seen.add(split_of(text))
    assert seen == {"train", "dev", "held_out"}


def test_case_and_white_space_do_not_change_a_prompts_name() -> None:
    assert normalised("  Write\n\tA   poem ") == "write a poem"
    assert prompt_hash("Write a poem") == prompt_hash("WRITE a\n\npoem\n")
    assert prompt_hash("Write a poem") != prompt_hash("Write a poem.")


def test_evaluation_prompts_are_known() -> None:
    """A question of the benchmark's committed chat prompts, under the name that its builder gives it."""
    hashes = evaluation_hashes()
    assert len(hashes) > 500
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in hashes)
    assert "0" * 16 not in hashes


def test_openings_cover_every_source_and_leave_no_slot_open() -> None:
    numbers = random.Random(1)
    found = [opening(numbers, 1.0) for _ in range(2000)]
    assert {source for source, _ in found} == {
        "chat",
        "code",
        "list",
        "maths",
        "summary",
        "tools",
        "writing",
    }
    for _, text in found:
        assert text.strip()
        assert "{name}" not in text
        assert "{topic}" not in text
    assert any(text.startswith("def ") and text.rstrip().endswith('"""') for _, text in found)


def test_share_of_openings() -> None:
    numbers = random.Random(2)
    free = sum(opening(numbers, 0.5) == ("free", "") for _ in range(1000))
    assert 430 < free < 570
    assert all(opening(numbers, 0.0) == ("free", "") for _ in range(50))
