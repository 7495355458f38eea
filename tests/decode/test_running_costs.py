"""Adaptive drafting on a machine that is not what was once measured, against plain decoding on the same one.

Time is the fake engine's own: what a call costs is made up, so that rates are exact and repeat.
"""

from __future__ import annotations

import functools

import pytest
from loop import Ask, solo
from machine import (
    BUSY,
    FAST_MEMORY,
    LONG_CONTEXT,
    ROWS_ARE_FREE,
    ROWS_COST_A_STEP,
    SLOW_MEMORY,
    Machine,
    Timed,
    run_on,
)

from mtp_rt import _core

MOST_DRAFTS = 7
ADAPTIVE = _core.DraftOptions(max_drafts=MOST_DRAFTS)
ACCEPTANCES = (0.0, 0.2, 0.5, 0.8, 0.95)
LEAST = 0.98  # of plain decoding's rate


@functools.cache
def text_of(number: int, length: int) -> tuple[Ask, list[int]]:
    ask = Ask((number,), max_tokens=length)
    return ask, solo(ask).tokens


def decode(
    machine: Machine, known: tuple[float, ...], acceptance: float | None, batch: int = 1, length: int = 1500
) -> Timed:
    """Texts side by side with scripted drafts that say how likely they are; None: plain."""
    texts = [text_of(number, length) for number in range(batch)]
    requests = [
        ask.request() if acceptance is None else ask.scripted(text, acceptance, seed=i, adaptive=True)
        for i, (ask, text) in enumerate(texts)
    ]
    timed = run_on(machine, requests, known)
    assert [outcome.tokens for outcome in timed.outcomes] == [text for _, text in texts]
    return timed


def best_width(curve: tuple[float, ...], acceptance: float) -> int:
    """Oracle: the number of drafts that promises most tokens per time, by trying all."""

    def rate(drafts: int) -> float:
        return sum(acceptance**k for k in range(drafts + 1)) / curve[drafts]

    return max(range(MOST_DRAFTS + 1), key=rate)


@pytest.mark.parametrize("known", [ROWS_ARE_FREE, SLOW_MEMORY, FAST_MEMORY], ids=["flat", "slow", "fast"])
@pytest.mark.parametrize(
    "curve", [ROWS_COST_A_STEP, SLOW_MEMORY, FAST_MEMORY, LONG_CONTEXT], ids=["steep", "slow", "fast", "long"]
)
@pytest.mark.parametrize("acceptance", [0.3, 0.7, 0.9])
def test_the_width_becomes_right_whatever_was_measured(
    known: tuple[float, ...], curve: tuple[float, ...], acceptance: float
) -> None:
    timed = decode(Machine([curve]), known, acceptance, length=3000)
    drafts = best_width(curve, acceptance)
    ideal = sum(acceptance**k for k in range(drafts + 1)) / curve[drafts] * 1000
    assert timed.rate > 0.9 * ideal


def test_rows_thought_too_dear_are_tried_again() -> None:
    """Rows that cost a step each became free: that shows only where they are tried."""
    timed = decode(Machine([ROWS_ARE_FREE]), ROWS_COST_A_STEP, 0.9, length=8000)
    assert timed.rate > 4 * decode(Machine([ROWS_ARE_FREE]), ROWS_COST_A_STEP, None).rate


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("acceptance", ACCEPTANCES)
@pytest.mark.parametrize("known", [SLOW_MEMORY, FAST_MEMORY], ids=["slow", "fast"])
def test_swings_of_the_machine_do_not_make_it_slower_than_plain(
    batch: int, acceptance: float, known: tuple[float, ...]
) -> None:
    """Memory that changes its speed every two seconds, noise of 5 %, one call in 200 stalled."""
    length = {1: 4000, 4: 3000, 16: 1500}[batch]

    def machine() -> Machine:
        phases = [SLOW_MEMORY, FAST_MEMORY, BUSY, FAST_MEMORY, LONG_CONTEXT]
        return Machine(phases, seconds=2.0, noise=0.05, stalls=0.005, seed=batch)

    plain = decode(machine(), known, None, batch, length)
    auto = decode(machine(), known, acceptance, batch, length)
    assert auto.rate > LEAST * plain.rate
    if batch == 1 and acceptance >= 0.5:
        assert auto.rate > 1.25 * plain.rate
