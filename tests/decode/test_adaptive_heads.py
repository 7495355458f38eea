"""How far heads draft, on machines made up: against plain decoding there, and against what would be best.

Time is the fake engine's own, so rates are exact and repeat.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import pytest
from heads import Heads
from loop import Ask, solo
from machine import BUSY, FAST_MEMORY, LONG_CONTEXT, ROWS_COST_A_STEP, SLOW_MEMORY, Machine, Timed, run_on

from mtp_rt import _core
from mtp_rt import _core_testing as native

DRAFT_MS = tuple(0.1 + 0.02 * slots for slots in range(16))  # 4 % of a plain step
LEAST = 0.98  # of plain decoding's rate
ADAPTIVE = _core.DraftOptions(source="heads", max_drafts=7)


@functools.cache
def text_of(number: int, length: int, order: int = 0) -> tuple[Ask, list[int]]:
    ask = Ask((number, 9), max_tokens=length)
    return ask, solo(ask, order=order).tokens


def decode(
    machine: Machine,
    acceptance: float | Callable[[int, int], float] | None,
    *,
    sure: float | None = None,
    siblings: Sequence[float] = (),
    prior: list[float] | None = None,
    options: _core.DraftOptions = ADAPTIVE,
    batch: int = 1,
    length: int = 1500,
    order: int = 0,
    draft_ms: Sequence[float] = DRAFT_MS,
) -> tuple[Timed, native.FakeEngine]:
    """Texts side by side, drafted by heads of this acceptance; None: plain."""
    texts = [text_of(number, length, order) for number in range(batch)]
    engine = native.FakeEngine(slots=batch, max_rows=128, extra_heads=4, order=order)
    engine.set_draft_ms(draft_ms)
    whole = [[*ask.prompt, *text] for ask, text in texts]
    engine.set_heads(Heads(whole, acceptance or 0.0, sure=sure, siblings=siblings), prior or [])
    requests = [ask.request() if acceptance is None else ask.request(options) for ask, _ in texts]
    timed = run_on(machine, requests, SLOW_MEMORY, engine)
    assert [outcome.tokens for outcome in timed.outcomes] == [text for _, text in texts]
    return timed, engine


@pytest.mark.parametrize("acceptance", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("curve", [SLOW_MEMORY, FAST_MEMORY, ROWS_COST_A_STEP], ids=["slow", "fast", "steep"])
def test_the_depth_becomes_right(acceptance: float, curve: tuple[float, ...]) -> None:
    """Oracle: of 0 .. 4 drafts, the number with most tokens per time, drafting included."""

    def rate(drafts: int) -> float:
        tokens = sum(acceptance**k for k in range(drafts + 1))
        return 1000 * tokens / (curve[drafts] + drafts * DRAFT_MS[0])

    timed, _ = decode(Machine([curve]), acceptance, length=3000)
    assert timed.rate > 0.93 * max(rate(drafts) for drafts in range(5))


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("acceptance", [0.0, 0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("sure", [None, 0.0, 1.0], ids=["honest", "shy", "boasting"])
def test_heads_never_make_it_slower_than_plain(batch: int, acceptance: float, sure: float | None) -> None:
    length = {1: 3000, 4: 2000, 16: 1000}[batch]

    def machine() -> Machine:
        phases = [SLOW_MEMORY, FAST_MEMORY, BUSY, FAST_MEMORY, LONG_CONTEXT]
        return Machine(phases, seconds=2.0, noise=0.05, stalls=0.005, seed=batch)

    plain, _ = decode(machine(), None, batch=batch, length=length)
    auto, _ = decode(machine(), acceptance, sure=sure, prior=[0.7] * 4, batch=batch, length=length)
    assert auto.rate > LEAST * plain.rate
    if batch == 1 and acceptance >= 0.6:
        assert auto.rate > 1.3 * plain.rate


def test_heads_that_are_never_right_are_left_alone_but_for_probes() -> None:
    timed, engine = decode(Machine([SLOW_MEMORY]), 0.0, prior=[0.9] * 4)
    [stats] = [outcome.counters for outcome in timed.outcomes]
    assert engine.drafted < 0.12 * stats.steps
    assert engine.draft_calls > 5


def test_drafts_that_turn_out_dear_are_left() -> None:
    """Guessed at a twentieth of a plain step, each draft takes one and a half: plain decoding is best."""
    plain, _ = decode(Machine([SLOW_MEMORY]), None)
    auto, _ = decode(Machine([SLOW_MEMORY]), 0.8, draft_ms=[4.0])
    assert auto.rate > 0.95 * plain.rate


def test_a_change_of_the_text_is_noticed() -> None:
    """Hopeless for 1,000 tokens, then right: the rest must be as fast as if nothing had been before."""
    turning, _ = decode(
        Machine([SLOW_MEMORY]), lambda length, depth: 0.0 if length < 1000 else 0.9, length=3000
    )
    plain_seconds = 1000 * SLOW_MEMORY[0] / 1000
    good, _ = decode(Machine([SLOW_MEMORY]), 0.9, length=2000)
    assert turning.seconds < 1.15 * (plain_seconds + good.seconds)


def test_chances_are_learnt_by_depth() -> None:
    """As sure of the second draft as of the first, which is always right where the second never is."""
    timed, _ = decode(Machine([FAST_MEMORY]), lambda length, depth: 1.0 if depth == 0 else 0.0, sure=0.8)
    [stats] = [outcome.counters for outcome in timed.outcomes]
    first, second = stats.drafted_per_position[:2]
    assert first > 0.9 * stats.steps
    assert second < 0.1 * stats.steps


def test_chances_are_learnt_by_how_sure_the_head_is() -> None:
    """Right half of the time, namely where it is sure: the others are drafted but not worth a row."""

    def heads(text: list[int], count: int, width: int) -> list[tuple[int, float]]:
        ask, whole = text_of(0, 1500)
        known = [*ask.prompt, *whole]
        right = len(text) % 2 == 0
        token = known[len(text)] if len(text) < len(known) else 0
        first = (token if right else (token + 1) % 64, 0.6 if right else 0.4)
        return [first, *[((token + 2 + rank) % 64, 0.1) for rank in range(width - 1)]] * count

    ask, whole = text_of(0, 1500)
    engine = native.FakeEngine(max_rows=128, extra_heads=1)
    engine.set_draft_ms(DRAFT_MS)
    engine.set_heads(heads)
    steep = (1.0, 1.3, 1.6, 1.9)
    timed = run_on(Machine([steep]), [ask.request(ADAPTIVE)], steep, engine)
    [outcome] = timed.outcomes
    assert outcome.tokens == whole
    stats = outcome.counters
    assert stats.accepted_per_position[0] > 0.9 * stats.drafted_per_position[0] > 300


@pytest.mark.parametrize(("acceptance", "winner"), [(0.0, "lookup"), (0.97, "heads")])
def test_auto_takes_the_source_that_promises_more(acceptance: float, winner: str) -> None:
    """A text that repeats itself with heads that know nothing, and one that does not with heads that know."""
    auto = _core.DraftOptions(source="auto", max_drafts=7)
    order = 1 if winner == "lookup" else 0  # 1: each token decides the next, so the text soon repeats
    timed, _ = decode(Machine([SLOW_MEMORY]), acceptance, options=auto, order=order, prior=[0.5] * 4)
    [stats] = [outcome.counters for outcome in timed.outcomes]
    accepted = stats.accepted_by_source
    assert accepted[winner] > 0.9 * sum(accepted.values()) > 500


@pytest.mark.parametrize("order", [0, 1], ids=["varied", "repeating"])
@pytest.mark.parametrize("acceptance", [0.0, 0.4, 0.7, 0.95])
def test_both_sources_are_as_fast_as_the_better_one(acceptance: float, order: int) -> None:
    rates = {
        source: decode(
            Machine([SLOW_MEMORY]),
            acceptance,
            options=_core.DraftOptions(source=source, max_drafts=7),
            order=order,
            prior=[0.5] * 4,
        )[0].rate
        for source in ("lookup", "heads", "auto")
    }
    assert rates["auto"] > 0.97 * max(rates["lookup"], rates["heads"])


def test_heads_rest_where_the_copy_stands() -> None:
    """They would be right as often, but nothing is left for them to add."""
    auto = _core.DraftOptions(source="auto", max_drafts=7)
    timed, engine = decode(Machine([SLOW_MEMORY]), 0.97, options=auto, order=1, prior=[0.9] * 4)
    [stats] = [outcome.counters for outcome in timed.outcomes]
    assert engine.drafted < 0.5 * stats.steps


def test_time_spent_drafting_is_reported() -> None:
    """On the fake engine nothing but calls takes time: drafting takes what the draft calls took."""
    fixed = _core.DraftOptions(source="heads", max_drafts=2, adaptive=False)
    timed, engine = decode(Machine([SLOW_MEMORY]), 0.5, options=fixed, length=300)
    [stats] = [outcome.counters for outcome in timed.outcomes]
    assert stats.draft_seconds == pytest.approx(engine.drafted * DRAFT_MS[0] / 1000, rel=1e-4)
    assert stats.draft_seconds < stats.decode_seconds
