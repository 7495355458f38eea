"""The counts of `mtp-rt evaluate`: by hand and against enumeration."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtp_rt import SamplingParams, _core
from mtp_rt.bench import acceptance, teacher_forced
from mtp_rt.bench.draft_times import draft_ms
from mtp_rt.bench.prompts import Item
from mtp_rt.bench.session import Decoded
from mtp_rt.errors import UnsupportedError


def decoded(tokens: int, steps: int, drafted: Sequence[int], accepted: Sequence[int]) -> Decoded:
    stats: Any = SimpleNamespace(
        steps=steps,
        drafted_per_position=[*drafted] + [0] * (15 - len(drafted)),
        accepted_per_position=[*accepted] + [0] * (15 - len(accepted)),
    )
    return Decoded(list(range(tokens)), stats)


def test_counts_add_up() -> None:
    """Oracle: by hand. 10 steps wrote 16 tokens after the first: drafts 1, 2 stood 5 and 1 times."""
    counts = acceptance.Counts(2)
    counts.add(decoded(10, 6, [6, 5], [3, 0]))
    counts.add(decoded(8, 4, [4, 3], [2, 1]))
    assert counts.as_json() == {
        "prompts": 2,
        "tokens": 16,
        "steps": 10,
        "tokens_per_step": 1.6,
        "alpha": [0.5, 0.25],  # draft 2 stood in 1 of the 8 steps that had it: 1/8 over 1/2
        "cumulative": [0.5, 0.1],
    }


def test_nothing_decoded_gives_zeros() -> None:
    figures = acceptance.Counts(1).as_json()
    assert (figures["tokens_per_step"], figures["alpha"], figures["cumulative"]) == (0.0, [0.0], [0.0])


class ReplayEngine:
    """Stands for an engine with heads: checks the order of calls and drafts what a rule says.

    Args:
        rule: Maps the tokens up to the drafting one, and the depth, to the drafts.
    """

    def __init__(self, slots: int, rule: Any) -> None:
        self.info = SimpleNamespace(slots=slots)
        self._rule = rule
        self._cache: list[list[int]] = [[] for _ in range(slots)]
        self._rows: list[tuple[int, int]] = []

    def length(self, slot: int) -> int:
        return len(self._cache[slot])

    def verify(
        self,
        slots: list[int],
        tokens: list[int],
        positions: list[int],
        parents: list[int],
        wants_logits: list[bool],
    ) -> None:
        assert len(wants_logits) == len(slots) == len(tokens) == len(parents)
        seen = {slot: self.length(slot) for slot in slots}
        for slot, position in zip(slots, positions, strict=True):
            assert position == seen[slot]
            seen[slot] += 1
        self._rows = list(zip(slots, tokens, strict=True))

    def commit(self, kept: Sequence[tuple[int, Sequence[int]]]) -> None:
        for slot, rows in kept:
            for row in rows:
                assert self._rows[row][0] == slot
                self._cache[slot].append(self._rows[row][1])

    def draft(
        self, slots: list[int], tokens: list[int], counts: list[int], widths: list[int], params: list[object]
    ) -> tuple[np.ndarray, None]:
        assert set(widths) == {1}
        assert len(slots) == len(tokens) == len(params)
        rows = [
            self._rule([*self._cache[slot], token], count)
            for slot, token, count in zip(slots, tokens, counts, strict=True)
        ]
        return np.array(rows, np.int32).ravel(), None

    def release(self, slot: int) -> None:
        self._cache[slot] = []


def guess(tokens: list[int], depth: int) -> list[int]:
    """A drafter that is right now and then in texts of three tokens: a rule of the last two."""
    return [(tokens[-1] + k * (tokens[-2] if len(tokens) > 1 else 1)) % 3 for k in range(1, depth + 1)]


TEXT = st.lists(st.integers(0, 2), min_size=1, max_size=9)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5), st.integers(1, 4), st.integers(1, 3))
def test_every_position_is_drafted_once(
    texts: list[tuple[list[int], list[int]]], depth: int, slots: int
) -> None:
    """Oracle: the same counts by enumerating the positions of the texts."""
    items = [Item("all", prompt) for prompt, _ in texts]
    answers = [answer for _, answer in texts]
    settings = acceptance.Settings(SamplingParams(), depth, "heads")
    engine: Any = ReplayEngine(slots, guess)
    found = teacher_forced.run(engine, items, answers, settings)
    seen, stood = [0] * depth, [0] * depth
    for prompt, answer in texts:
        for place in range(len(answer)):
            drafts = guess([*prompt, *answer[: place + 1]], depth)
            for k in range(depth):
                if place + 1 + k < len(answer):
                    seen[k] += 1
                    stood[k] += drafts[: k + 1] == answer[place + 1 : place + 2 + k]
    shares = [s / n if n else 0.0 for s, n in zip(stood, seen, strict=True)]
    assert found["positions"] == seen[0]
    assert found["cumulative"] == [round(share, 4) for share in shares]
    assert found["predicted_tokens_per_step"] == round(1 + sum(shares), 4)
    assert all(engine.length(slot) == 0 for slot in range(slots))


def test_draft_times_leave_the_slot_empty_and_cover_every_depth() -> None:
    """Oracle: the depths of the scripted engine; without heads there is no figure."""
    engine: Any = ReplayEngine(1, guess)
    engine.info.extra_heads = 3
    times = draft_ms(engine, [0, 1, 2, 0, 1], 4, 2)
    assert times is not None
    assert list(times) == ["1", "2", "3"]
    assert all(ms >= 0 for ms in times.values())
    assert engine.length(0) == 0
    engine.info.extra_heads = 0
    assert draft_ms(engine, [0, 1], 1, 2) is None


def test_more_drafts_than_heads() -> None:
    with pytest.raises(UnsupportedError, match="2 extra heads"):
        acceptance.check_heads(2, acceptance.Settings(SamplingParams(), 3, "heads"))
    with pytest.raises(UnsupportedError, match="no extra heads"):
        acceptance.check_heads(0, acceptance.Settings(SamplingParams(), 1, "heads"))
    acceptance.check_heads(3, acceptance.Settings(SamplingParams(), 3, "heads"))
    acceptance.check_heads(0, acceptance.Settings(SamplingParams(), 3, "lookup"))


def test_all_drafts_of_all_texts_fit_into_a_call() -> None:
    """Oracle: the rows of such a call, of which prompts may take a quarter."""
    for rows in (1, 7, 64, 128):
        for drafts in (1, 4, 15):
            texts = acceptance.side_by_side(rows, drafts)
            assert texts == 1 or texts * (1 + drafts) + max(1, rows // 4) <= rows
            assert (texts + 1) * (1 + drafts) > rows - max(1, rows // 4)


def test_seeds_stay_in_range() -> None:
    settings = acceptance.Settings(SamplingParams(seed=2**64 - 1), 1, "lookup")
    assert [settings.seed_of(index) for index in (0, 1)] == [2**64 - 1, 0]
    assert _core.SamplingParams(seed=settings.seed_of(0)) is not None
