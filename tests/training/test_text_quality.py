"""Loops, repetition and script of generated text; oracles: texts made to loop, a slow search."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt.training.distill.text_quality import loop_cut, repetition, script_of

LONGEST, LEAST_PERIODS, LEAST_TOKENS, KEPT_PERIODS = 96, 5, 48, 2


def slow_cut(tokens: list[int]) -> int | None:
    """The definition, read aloud: for each period, the first place where the phrase stands often enough."""
    cuts = []
    for period in range(1, LONGEST + 1):
        needed = max(LEAST_PERIODS * period, LEAST_TOKENS)
        for start in range(len(tokens) - needed + 1):
            part = tokens[start : start + needed]
            if part[period:] == part[:-period]:
                cuts.append(start + KEPT_PERIODS * period)
                break
    return min(cuts, default=None)


@settings(deadline=None)
@given(
    before=st.integers(0, 60), period=st.integers(1, 40), rounds=st.integers(1, 12), after=st.integers(0, 20)
)
def test_cut_is_that_of_the_slow_search(before: int, period: int, rounds: int, after: int) -> None:
    numbers = random.Random(f"{before} {period} {rounds} {after}")
    tokens = [numbers.randrange(50) for _ in range(before)]
    tokens += [numbers.randrange(50) for _ in range(period)] * rounds
    tokens += [numbers.randrange(50) for _ in range(after)]
    assert loop_cut(tokens) == slow_cut(tokens)


def test_two_rounds_of_a_heavy_loop_are_kept() -> None:
    phrase = list(range(100, 112))
    assert loop_cut([*range(30), *phrase * 8]) == 30 + 2 * 12


def test_mild_repetition_is_left_alone() -> None:
    phrase = list(range(100, 112))
    assert loop_cut([*range(30), *phrase * 4, *range(30, 60)]) is None
    assert loop_cut([5] * 40) is None
    assert loop_cut([]) is None


def test_repetition_counts_ngrams_seen_before() -> None:
    assert repetition([1, 2, 3, 4, 5, 6]) == 0.0
    assert repetition([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert repetition([7] * 11) == pytest.approx(7 / 8)
    assert repetition([1, 2]) == 0.0


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Plain English, naïve café.", "latin"),
        ("Виды спорта", "other"),
        ("日本語のテキスト", "other"),
        ("1 + 2 = 3", "none"),
        ("", "none"),
        ("ten latin letters, я", "latin"),
    ],
)
def test_script(text: str, script: str) -> None:
    assert script_of(text) == script
