"""Drafts by heads: the same text as plain decoding alone, and the right heads asked at the right place."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from heads import Heads
from hypothesis import given, settings
from hypothesis import strategies as st
from loop import COSTS, VOCAB, Ask, Outcome, run, solo

from mtp_rt import _core
from mtp_rt import _core_testing as native
from mtp_rt.errors import UnsupportedError


def heads_options(
    drafts: int = 7, *, adaptive: bool = False, source: str = "heads", width: int = 0
) -> _core.DraftOptions:
    return _core.DraftOptions(source=source, max_drafts=drafts, adaptive=adaptive, max_width=width)


def engine_for(
    asks: list[Ask],
    acceptance: float,
    *,
    extra_heads: int = 7,
    sure: float | None = None,
    siblings: Sequence[float] = (),
    **engine: int,
) -> tuple[native.FakeEngine, list[Outcome]]:
    """Return an engine whose heads know the texts of these requests, and each request's plain outcome."""
    plain_engine = {key: value for key, value in engine.items() if key in ("vocab_size", "order", "context")}
    plains = [solo(ask, **plain_engine) for ask in asks]
    fake = native.FakeEngine(extra_heads=extra_heads, **engine)
    texts = [[*ask.prompt, *plain.tokens] for ask, plain in zip(asks, plains, strict=True)]
    fake.set_heads(Heads(texts, acceptance, sure=sure, siblings=siblings))
    return fake, plains


def same(outcome: Outcome, plain: Outcome) -> None:
    assert (outcome.error, outcome.finish) == (None, plain.finish)
    assert (outcome.tokens, outcome.logprobs) == (plain.tokens, plain.logprobs)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    params: dict[str, float] = {"seed": draw(st.integers(0, 5))}
    params["temperature"] = draw(st.sampled_from([0.0, 0.3, 1.0, 1.5]))
    for field, values in (
        ("top_p", (0.5, 0.9)),
        ("top_k", (1, 5)),
        ("min_p", (0.1,)),
        ("presence_penalty", (1.5,)),
        ("frequency_penalty", (1.0, -0.5)),
        ("repetition_penalty", (1.4,)),
    ):
        if draw(st.booleans()):
            params[field] = draw(st.sampled_from(values))
    most = draw(st.integers(1, 30))
    return Ask(
        tuple(draw(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=20))),
        params,
        max_tokens=most,
        min_tokens=draw(st.integers(0, most)),
        stop=tuple(draw(st.sets(st.integers(0, VOCAB - 1), max_size=4))),
        logprobs=draw(st.sampled_from([None, 1])),
    )


@st.composite
def drafting(draw: st.DrawFn) -> _core.DraftOptions:
    source = draw(st.sampled_from(["heads", "auto"]))
    adaptive, width = draw(st.booleans()), draw(st.integers(0, 8))
    return heads_options(draw(st.integers(0, 15)), adaptive=adaptive, source=source, width=width)


@st.composite
def engines(draw: st.DrawFn) -> dict[str, int]:
    return {
        "extra_heads": draw(st.integers(1, 15)),
        "max_rows": draw(st.integers(1, 40)),
        "slots": draw(st.integers(1, 4)),
        "order": draw(st.sampled_from([0, 1])),
    }


@settings(max_examples=200, deadline=None)
@given(
    batch=st.lists(st.tuples(asks(), drafting()), min_size=1, max_size=4),
    acceptance=st.floats(0, 1),
    siblings=st.lists(st.floats(0, 1), max_size=3),
    sure=st.one_of(st.none(), st.floats(0, 1, width=32)),
    engine=engines(),
)
def test_heads_change_nothing(
    batch: list[tuple[Ask, _core.DraftOptions]],
    acceptance: float,
    siblings: list[float],
    sure: float | None,
    engine: dict[str, int],
) -> None:
    """Chains and trees of any width, alone and adaptive."""
    fake, plains = engine_for([ask for ask, _ in batch], acceptance, sure=sure, siblings=siblings, **engine)
    requests = [ask.request(options) for ask, options in batch]
    for outcome, plain in zip(run(fake, requests, chunk=7), plains, strict=True):
        same(outcome, plain)
    assert fake.most_rows <= engine["max_rows"]


def test_right_drafts_save_steps() -> None:
    ask = Ask((1, 2, 3), max_tokens=41)
    fake, [plain] = engine_for([ask], 1.0, extra_heads=4)
    [outcome] = run(fake, [ask.request(heads_options(7))])
    same(outcome, plain)
    assert outcome.commits == [1, 5, 5, 5, 5, 5, 5, 5, 5]
    stats = outcome.counters
    assert stats.drafted_per_position == stats.accepted_per_position == [8] * 4
    assert stats.drafted_by_source == stats.accepted_by_source == {"heads": 32}
    assert (fake.draft_calls, fake.drafted) == (8, 32)


def test_each_sequence_gets_its_own_drafts_in_one_call() -> None:
    """All drafts right, each request with another number of them: every one must save its steps."""
    batch = [Ask((number, 5), {"seed": number, "temperature": 0.9}, max_tokens=60) for number in range(5)]
    fake, plains = engine_for(batch, 1.0, slots=5)
    requests = [ask.request(heads_options(1 + number)) for number, ask in enumerate(batch)]
    outcomes = run(fake, requests)
    for number, (outcome, plain) in enumerate(zip(outcomes, plains, strict=True)):
        same(outcome, plain)
        assert outcome.counters.steps == -(-59 // (2 + number))
    slowest = max(outcome.counters.steps for outcome in outcomes)
    assert fake.draft_calls == slowest - 1  # nothing is drafted before its last token


def test_a_text_that_ends_is_not_drafted_behind() -> None:
    ask = Ask((1,), max_tokens=6)
    fake, _ = engine_for([ask], 1.0, extra_heads=15)
    run(fake, [ask.request(heads_options(15))])
    assert fake.drafted == 4  # of 5 tokens after the first, the last one is free


@pytest.mark.parametrize("failing", [1, 2, 5])
def test_an_error_of_the_heads_ends_those_that_asked(failing: int) -> None:
    """As with every error of an engine: what was committed stays, the neighbour and the scheduler go on."""
    asking, other = Ask((1, 2), max_tokens=30), Ask((3,), max_tokens=30)
    fake, plains = engine_for([asking, other], 0.5, slots=2, fail_draft_at=failing)
    drafting, plain_request = asking.request(heads_options(3)), other.request()
    [failed, fine] = run(fake, [drafting, plain_request])
    assert (failed.finish, failed.error) == ("error", "fake: draft was told to fail")
    assert 1 <= len(failed.tokens) < 30
    assert failed.tokens == plains[0].tokens[: len(failed.tokens)]
    same(fine, plains[1])
    same(run(fake, [drafting])[0], plains[0])


@pytest.mark.parametrize("token", [-1, VOCAB, 2**31 - 1])
def test_drafts_outside_the_vocabulary_are_an_error(token: int) -> None:
    fake = native.FakeEngine(extra_heads=2)
    fake.set_heads(lambda text, count, width: [(token, 0.5)] * (count * width))
    [outcome] = run(fake, [Ask((1,)).request(heads_options(2))])
    assert outcome.finish == "error"
    assert outcome.error is not None
    assert f"token {token}" in outcome.error


def test_a_cancelled_request_leaves_no_drafts_behind() -> None:
    """The slot's next request starts with drafts of its own text: the heads refuse any other."""
    first, second = Ask((1,), max_tokens=40), Ask((2,), max_tokens=40)
    fake, plains = engine_for([first, second], 1.0)
    scheduler = native.scheduler(fake, verify_ms=COSTS)
    number = scheduler.submit(first.request(heads_options(4)))
    for _ in range(3):
        scheduler.run_once()
    assert scheduler.cancel(number)
    following = scheduler.submit(second.request(heads_options(4)))
    outcomes = {number: Outcome(), following: Outcome()}
    while scheduler.running + scheduler.waiting:
        for event in scheduler.run_once():
            outcomes[event.request].add(event)
    assert outcomes[number].finish == "cancelled"
    same(outcomes[following], plains[1])
    assert outcomes[following].counters.steps == -(-39 // 5)


def test_where_there_are_no_heads_they_cannot_be_asked_for() -> None:
    with pytest.raises(UnsupportedError, match=r"no extra heads.*distill"):
        run(native.FakeEngine(), [Ask((1,)).request(heads_options())])
    ask = Ask((1,), max_tokens=50)
    same(run(native.FakeEngine(), [ask.request(heads_options(source="auto"))])[0], solo(ask))


def test_draft_costs_are_measured_by_slots() -> None:
    fake = native.FakeEngine(slots=3, extra_heads=6)
    assert len(_core.measure_draft_costs(fake)) == 3
    assert len(_core.measure_draft_costs(fake, 2)) == 2
    assert [fake.length(slot) for slot in range(3)] == [0, 0, 0]
    assert _core.measure_draft_costs(native.FakeEngine()) == []
    ask = Ask((1,), max_tokens=20)
    engine = native.FakeEngine(extra_heads=6)
    same(run(engine, [ask.request(heads_options(adaptive=True))], verify_ms=())[0], solo(ask))
    assert engine.draft_calls > 9
