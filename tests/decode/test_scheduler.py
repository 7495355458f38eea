"""Queueing, cancelling and failing: what happens to one request, and that it happens to no other."""

from __future__ import annotations

import functools

import pytest
from loop import VOCAB, Ask, Outcome, run, solo

from mtp_rt import _core
from mtp_rt import _core_testing as native

PROMPT = tuple(range(20, 50))
ASKS = [Ask(PROMPT[i:], {"temperature": 1.0, "seed": i}, max_tokens=20) for i in range(4)]


@functools.cache
def plains() -> list[Outcome]:
    """What each of ASKS gives alone."""
    return [solo(ask) for ask in ASKS]


def steps(scheduler: _core.Scheduler, outcomes: dict[int, Outcome], count: int = 10_000) -> None:
    for _ in range(count):
        if not scheduler.running + scheduler.waiting:
            return
        for event in scheduler.run_once():
            outcomes[event.request].add(event)


def test_requests_are_admitted_in_order() -> None:
    scheduler = _core.Scheduler(native.FakeEngine(slots=2), verify_ms=[1.0])
    numbers = [scheduler.submit(ask.request()) for ask in ASKS]
    assert numbers == sorted(set(numbers))
    assert (scheduler.running, scheduler.waiting) == (0, 4)
    first = scheduler.run_once()
    assert [event.request for event in first] == numbers[:2]
    assert (scheduler.running, scheduler.waiting) == (2, 2)


def test_an_idle_step_does_nothing() -> None:
    engine = native.FakeEngine()
    assert _core.Scheduler(engine, verify_ms=[1.0]).run_once() == []
    assert engine.verify_calls == 0


@pytest.mark.parametrize("when", range(12))
@pytest.mark.parametrize("victim", range(4))
def test_cancel_at_every_phase(when: int, victim: int) -> None:
    """Waiting, prefilling in chunks of 7, decoding: the slot is free again, the others notice nothing."""
    engine = native.FakeEngine(slots=2)
    scheduler = _core.Scheduler(engine, prefill_chunk=7, verify_ms=[1.0])
    numbers = [
        scheduler.submit(ask.scripted(plain.tokens, 0.7)) for ask, plain in zip(ASKS, plains(), strict=True)
    ]
    outcomes = {number: Outcome() for number in numbers}
    steps(scheduler, outcomes, when)
    alive = outcomes[numbers[victim]].finish is None
    assert scheduler.cancel(numbers[victim]) == alive
    assert not scheduler.cancel(numbers[victim])
    steps(scheduler, outcomes, 1)
    steps(scheduler, outcomes)
    for index, (number, plain) in enumerate(zip(numbers, plains(), strict=True)):
        outcome = outcomes[number]
        if index == victim and alive:
            assert outcome.finish == "cancelled"
            assert outcome.tokens == plain.tokens[: len(outcome.tokens)]
            assert outcome.counters.generated_tokens == len(outcome.tokens)
            assert outcome.commits[-1] == 0
        else:
            assert (outcome.tokens, outcome.finish) == (plain.tokens, "length")
        assert not scheduler.cancel(number)
    assert (scheduler.running, scheduler.waiting) == (0, 0)
    assert [engine.length(slot) for slot in range(2)] == [0, 0]


def test_a_cancelled_request_ends_within_one_step() -> None:
    scheduler = _core.Scheduler(native.FakeEngine(slots=2), verify_ms=[1.0])
    numbers = [scheduler.submit(ask.request()) for ask in ASKS]
    scheduler.run_once()
    scheduler.cancel(numbers[0])
    scheduler.cancel(numbers[3])
    events = scheduler.run_once()
    ended = {event.request: event.finish_reason for event in events if event.finish_reason}
    assert ended == {numbers[0]: "cancelled", numbers[3]: "cancelled"}
    assert [event.request for event in events if event.tokens] == numbers[1:3]


def test_unknown_requests_cannot_be_cancelled() -> None:
    scheduler = _core.Scheduler(native.FakeEngine(), verify_ms=[1.0])
    assert not scheduler.cancel(1)
    assert not scheduler.cancel(-5)


@pytest.mark.parametrize("at", range(1, 14))
def test_a_nan_row_fails_its_request_alone(at: int) -> None:
    engine = native.FakeEngine(slots=4, nan_at=at, nan_slot=1)
    requests = [ask.scripted(plain.tokens, 0.7) for ask, plain in zip(ASKS, plains(), strict=True)]
    outcomes = run(engine, requests, chunk=7)
    failed = [outcome for outcome in outcomes if outcome.finish == "error"]
    assert len(failed) <= 1
    for outcome, plain in zip(outcomes, plains(), strict=True):
        if outcome in failed:
            assert outcome.error is not None
            assert "NaN" in outcome.error
            assert outcome.tokens == plain.tokens[: len(outcome.tokens)]
        else:
            assert outcome.tokens == plain.tokens


def test_some_nan_row_is_met() -> None:
    """The test above can fail: at the fifth call the row is read."""
    engine = native.FakeEngine(slots=4, nan_at=5, nan_slot=1)
    assert [outcome.finish for outcome in run(engine, [ask.request() for ask in ASKS])].count("error") == 1


@pytest.mark.parametrize("fault", ["fail_verify_at", "fail_commit_at"])
@pytest.mark.parametrize("at", range(1, 9))
def test_an_engine_error_fails_the_call_and_leaves_the_scheduler_usable(fault: str, at: int) -> None:
    engine = native.FakeEngine(slots=2, **{fault: at})
    outcomes = run(engine, [ask.request() for ask in ASKS], chunk=16)
    failed = [outcome for outcome in outcomes if outcome.finish == "error"]
    assert 1 <= len(failed) <= 2
    for outcome, plain in zip(outcomes, plains(), strict=True):
        if outcome in failed:
            assert outcome.error == f"fake: {fault.split('_')[1]} was told to fail"
            assert outcome.tokens == plain.tokens[: len(outcome.tokens)]
        else:
            assert outcome.tokens == plain.tokens
    assert run(engine, [ASKS[0].request()])[0].tokens == plains()[0].tokens


@pytest.mark.parametrize("at", range(1, 5))
def test_a_failed_release_is_made_good(at: int) -> None:
    """The slot is emptied before its next use, so no request meets what another left."""
    engine = native.FakeEngine(slots=1, fail_release_at=at)
    scheduler = _core.Scheduler(engine, verify_ms=[1.0])
    outcomes = {scheduler.submit(ask.request()): Outcome() for ask in [*ASKS, ASKS[0]]}
    steps(scheduler, outcomes)
    assert [outcome.tokens for outcome in outcomes.values()] == [
        plain.tokens for plain in [*plains(), plains()[0]]
    ]


def test_a_source_that_proposes_nonsense_fails_its_request_alone() -> None:
    """Draft tokens outside the vocabulary reach no engine."""
    bad = ASKS[0].request(_core.DraftOptions(adaptive=False))
    native.script(bad, [*ASKS[0].prompt, *[VOCAB] * 30], acceptance=1.0)
    good = ASKS[1].scripted(plains()[1].tokens, 0.5)
    outcomes = run(native.FakeEngine(slots=2), [bad, good])
    assert outcomes[0].finish == "error"
    assert outcomes[0].error is not None
    assert "drafts: token 64" in outcomes[0].error
    assert outcomes[0].tokens == plains()[0].tokens[:1]
    assert outcomes[1].tokens == plains()[1].tokens


def test_more_sequences_than_rows_all_get_their_turn() -> None:
    engine = native.FakeEngine(slots=4, max_rows=2)
    outcomes = run(engine, [ask.request() for ask in ASKS])
    assert [outcome.tokens for outcome in outcomes] == [plain.tokens for plain in plains()]
    assert engine.most_rows == 2


def test_decoding_goes_on_while_a_long_prompt_is_read() -> None:
    """A token in every step for the first request, whose neighbour reads 30 tokens in chunks of 4."""
    scheduler = _core.Scheduler(native.FakeEngine(slots=2), prefill_chunk=4, verify_ms=[1.0])
    first = scheduler.submit(Ask((1, 2), max_tokens=30).request())
    scheduler.run_once()
    second = scheduler.submit(ASKS[0].request())
    seen = [[event.request for event in scheduler.run_once()] for _ in range(8)]
    assert seen == [[first]] * 7 + [[first, second]]


def test_the_scheduler_empties_its_slots_when_it_goes() -> None:
    engine = native.FakeEngine(slots=2)
    scheduler = _core.Scheduler(engine, verify_ms=[1.0])
    for ask in ASKS:
        scheduler.submit(ask.request())
    scheduler.run_once()
    assert engine.length(0) > 0
    del scheduler
    assert [engine.length(slot) for slot in range(2)] == [0, 0]
