"""Ends in the middle of a commit: stop tokens, max_tokens, context, min_tokens, exact for all drafts."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop import Ask, Outcome, run, solo

from mtp_rt import _core
from mtp_rt import _core_testing as native
from mtp_rt.errors import ArgumentError, CapacityError, UnsupportedError

PROMPT = (3, 1, 4, 1, 5)
LONG = solo(Ask(PROMPT, {"temperature": 1.0, "seed": 1}, max_tokens=80)).tokens


def drafted(ask: Ask, **engine: int) -> Outcome:
    """The outcome when every draft agrees with LONG, which goes on past every end."""
    [outcome] = run(native.FakeEngine(**engine), [ask.scripted(LONG, 1.0)])
    return outcome


def ask(**fields: object) -> Ask:
    return Ask(PROMPT, {"temperature": 1.0, "seed": 1}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_tokens", range(1, 20))
def test_max_tokens_cuts_a_commit(max_tokens: int) -> None:
    outcome = drafted(ask(max_tokens=max_tokens, logprobs=0))
    assert outcome.tokens == LONG[:max_tokens]
    assert [entries[0][0] for entries in outcome.logprobs] == LONG[:max_tokens]
    assert (outcome.finish, outcome.counters.generated_tokens) == ("length", max_tokens)
    assert outcome.counters.steps == -(-(max_tokens - 1) // 8)  # and no draft beyond the budget
    assert sum(outcome.counters.drafted_per_position) == max_tokens - 1 - outcome.counters.steps


@pytest.mark.parametrize("at", range(20))
def test_a_stop_token_cuts_a_commit(at: int) -> None:
    first = LONG.index(LONG[at])
    outcome = drafted(ask(max_tokens=80, stop=(63, LONG[at]), logprobs=0))
    assert outcome.tokens == LONG[: first + 1]
    assert len(outcome.logprobs) == first + 1
    assert (outcome.finish, outcome.counters.generated_tokens) == ("stop", first + 1)
    assert sum(outcome.counters.accepted_per_position) <= first


@pytest.mark.parametrize("context", range(6, 24))
def test_the_context_cuts_a_commit(context: int) -> None:
    outcome = drafted(ask(max_tokens=80), context=context)
    assert outcome.tokens == LONG[: context - len(PROMPT)]
    assert outcome.finish == "length"


def test_a_stop_token_at_the_last_place_is_a_stop() -> None:
    at = next(i for i in range(9, 40) if LONG.index(LONG[i]) == i)
    assert drafted(ask(max_tokens=at + 1, stop=(LONG[at],))).finish == "stop"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.sets(st.sampled_from(LONG[:12]), max_size=6), st.booleans())
def test_min_tokens_forbids_stop_tokens(least: int, stop: set[int], tree: bool) -> None:
    """They cannot be chosen earlier, whichever row of a drafted step the choice falls to; then they can."""
    wanted = ask(max_tokens=40, min_tokens=least, stop=tuple(stop))
    plain = solo(wanted)
    assert not stop & set(plain.tokens[:least])
    assert not stop & set(plain.tokens[:-1])
    assert len(plain.tokens) >= least
    [outcome] = run(native.FakeEngine(), [wanted.scripted(plain.tokens, 0.8, tree=tree)])
    assert (outcome.tokens, outcome.finish) == (plain.tokens, plain.finish)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"prompt": ()}, ArgumentError, "prompt: empty"),
        ({"prompt": (1, 64)}, ArgumentError, "prompt: token 64 at index 1"),
        ({"prompt": (-1,)}, ArgumentError, "prompt: -1"),
        ({"prompt": (2**40,)}, ArgumentError, f"prompt: {2**40}"),
        ({"prompt": (1,) * 40}, CapacityError, "prompt: 40 tokens .* context of 40"),
        ({"max_tokens": 0}, ArgumentError, "max_tokens: 0"),
        ({"max_tokens": -3}, ArgumentError, "max_tokens: -3"),
        ({"min_tokens": -1}, ArgumentError, "min_tokens: -1"),
        ({"min_tokens": 33}, ArgumentError, "min_tokens: 33"),
        ({"stop": (64,)}, ArgumentError, "stop_token_ids: token 64"),
        ({"logprobs": 21}, ArgumentError, "logprobs: 21"),
        ({"logprobs": -1}, ArgumentError, "logprobs: -1"),
        ({"params": {"temperature": float("nan")}}, ArgumentError, "temperature: nan"),
        ({"params": {"top_p": -0.5}}, ArgumentError, "top_p: -0.5"),
    ],
)
def test_what_cannot_run_is_refused_at_submit(
    change: dict[str, object], error: type[Exception], words: str
) -> None:
    scheduler = _core.Scheduler(native.FakeEngine(context=40), verify_ms=[1.0])
    with pytest.raises(error, match=words):
        scheduler.submit(dataclasses.replace(ask(), **change).request())  # type: ignore[arg-type]
    assert scheduler.waiting == 0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"source": "oracle"}, ArgumentError, "unknown source 'oracle'"),
        ({"source": "heads"}, UnsupportedError, "no extra heads"),
        ({"max_drafts": 16}, ArgumentError, "max_drafts: 16"),
        ({"max_drafts": -1}, ArgumentError, "max_drafts: -1"),
        ({"max_width": 9}, ArgumentError, "max_width: 9"),
        ({"max_width": -1}, ArgumentError, "max_width: -1"),
    ],
)
def test_impossible_drafts_are_refused_at_submit(
    options: dict[str, object], error: type[Exception], words: str
) -> None:
    scheduler = _core.Scheduler(native.FakeEngine(), verify_ms=[1.0])
    with pytest.raises(error, match=words):
        scheduler.submit(ask().request(_core.DraftOptions(**options)))  # type: ignore[arg-type]


def test_the_longest_prompt_gives_one_token() -> None:
    wanted = Ask((1,) * 39, max_tokens=10)
    assert len(solo(wanted, context=40).tokens) == 1


@pytest.mark.parametrize(
    ("chunk", "costs", "words"),
    [(0, [1.0], "prefill_chunk: 0"), (8, [1.0, -1.0], "verify_ms"), (8, [float("nan")], "verify_ms")],
)
def test_scheduler_options_are_checked(chunk: int, costs: list[float], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        _core.Scheduler(native.FakeEngine(), prefill_chunk=chunk, verify_ms=costs)
