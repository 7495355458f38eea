"""The summary of `bench decode` against figures worked out by hand, on scripted runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mtp_rt.bench import decode, session
from mtp_rt.bench.prompts import Item
from mtp_rt.bench.session import Decoded, Group


def run(
    tokens: list[int], seconds: float, accepted: tuple[int, ...] = (), draft_seconds: float = 0.0
) -> Group:
    """Return a run of one request: a step per token after the first, less the accepted drafts."""
    decoded = len(tokens) - 1
    stats: Any = SimpleNamespace(
        steps=decoded - sum(accepted),
        drafted_per_position=[n + 1 for n in accepted] + [0] * (15 - len(accepted)),
        accepted_per_position=[*accepted] + [0] * (15 - len(accepted)),
        decode_seconds=seconds,
        draft_seconds=draft_seconds,
    )
    return Group([Decoded(tokens, stats)], 0.1, seconds, decoded)


ITEMS = [Item("code", [1]), Item("chat", [2])]


def pairs() -> list[decode.Pair]:
    """Return two prompts of 9 tokens; drafts bring the first from 8 steps to 4 and leave the second."""
    text = list(range(9))
    return [
        decode.Pair(
            [0],
            {
                "plain": [run(text, 0.8), run(text, 8.0), run(text, 0.8)],
                "mtp": [run(text, 0.5, (3, 1), 0.05) for _ in range(3)],
            },
        ),
        decode.Pair([1], {"plain": [run(text, 0.8)] * 3, "mtp": [run(text, 0.8)] * 3}),
    ]


def test_summary() -> None:
    """Oracle: by hand. Medians: plain 0.8 + 0.8 s, drafted 0.5 + 0.8 s, for 16 tokens after the first."""
    result = decode.summary(ITEMS, pairs())
    assert result["plain"]["tokens_per_second"] == pytest.approx(10.0)
    assert result["mtp"]["tokens_per_second"] == pytest.approx(16 / 1.3, abs=0.01)
    assert result["speedup"] == pytest.approx(1.6 / 1.3, abs=1e-4)
    assert result["mtp"]["tokens_per_step"] == pytest.approx(16 / 12, abs=1e-4)
    assert result["loop_efficiency"] == pytest.approx(1.6 / 1.3 / (16 / 12), abs=1e-4)
    assert result["mtp"]["accepted_per_position"] == [0.25, pytest.approx(1 / 12, abs=1e-4)]
    assert result["mtp"]["draft_share"] == pytest.approx(0.15 / 3.9, abs=1e-4)
    assert (result["differing_tokens"], result["tokens"]) == (0, 54)
    assert result["per_source"] == {
        "chat": {"tokens_per_step": 1.0, "speedup": 1.0, "loop_efficiency": 1.0, "tokens": 9},
        "code": {"tokens_per_step": 2.0, "speedup": 1.6, "loop_efficiency": 0.8, "tokens": 9},
    }


def test_every_differing_token_counts_in_every_repeat() -> None:
    """Oracle: one changed token in the second run, and two tokens too few in the third."""
    (pair, _) = pairs()
    text = list(range(9))
    pair.runs["mtp"][1] = run([*text[:4], 99, *text[5:]], 0.5)
    pair.runs["mtp"][2] = run(text[:7], 0.5)
    assert decode.differing_tokens(pair) == 3


def test_no_drafts_and_single_tokens_are_no_division_by_zero() -> None:
    pair = decode.Pair([0], {"plain": [run([5], 0.0)], "mtp": [run([5], 0.0)]})
    result = decode.summary(ITEMS[:1], [pair])
    assert result["speedup"] == result["loop_efficiency"] == result["mtp"]["tokens_per_step"] == 0.0
    assert result["mtp"]["accepted_per_position"] == []


@pytest.mark.parametrize(
    ("count", "batch", "expected"),
    [(3, 1, [[0], [1], [2]]), (5, 2, [[0, 1, 2, 3, 4, 0, 1, 2]]), (9, 2, [[*range(9)]])],
)
def test_runs_hold_every_prompt_and_fill_the_batch(count: int, batch: int, expected: list[list[int]]) -> None:
    assert decode.groups(count, batch) == expected


class Clock:
    """A scheduler whose every step takes a second and gives each request that runs a token."""

    def __init__(self) -> None:
        self.now, self.left, self.most = 0.0, dict[int, int](), 0

    def submit(self, request: int) -> int:
        self.left[len(self.left)] = request
        return len(self.left) - 1

    def run_once(self) -> list[SimpleNamespace]:
        self.now += 1.0
        running = [number for number, left in self.left.items() if left]
        self.most = max(self.most, len(running))
        events = []
        for number in running:
            self.left[number] -= 1
            ended = None if self.left[number] else "length"
            events.append(
                SimpleNamespace(request=number, tokens=[7], error=None, finish_reason=ended, stats=number)
            )
        return events


def test_a_group_is_timed_while_its_batch_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: by hand. Texts of 3, 5, 4 and 9 tokens, two at a time.

    The first step gives both their first tokens. The third follows the first from step 4 on, the fourth the
    second from step 6 on; the third ends with step 7, and none follows: 6 steps of 2 tokens.
    """
    scheduler: Any = Clock()
    monkeypatch.setattr(session.time, "perf_counter", lambda: scheduler.now)
    requests: list[Any] = [3, 5, 4, 9]
    counts: list[int] = []
    group = session.decode(scheduler, requests, counts.append, together=2)
    assert (group.prefill_seconds, group.decode_seconds, group.decoded) == (1.0, 6.0, 12)
    assert [len(done.tokens) for done in group.requests] == [3, 5, 4, 9]
    assert [done.stats for done in group.requests] == [0, 1, 2, 3]
    assert (scheduler.most, counts[-1]) == (2, 4)
