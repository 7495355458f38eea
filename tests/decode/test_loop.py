"""The same text: drafts, trees, neighbours and chunks against plain decoding alone, on the fake engine."""

from __future__ import annotations

import random

import pytest
from loop import COSTS, NO_DRAFTS, VOCAB, Ask, Outcome, run, solo, timed_engine

from mtp_rt import _core
from mtp_rt import _core_testing as native

SAMPLING: dict[str, dict[str, float]] = {
    "greedy": {},
    "sampled": {"temperature": 1.0, "seed": 5},
    "cold": {"temperature": 0.3, "seed": 6},
    "hot": {"temperature": 1.5, "top_p": 0.9, "seed": 2**63},
    "top-k": {"temperature": 0.7, "top_k": 5, "seed": 8},
    "min-p": {"temperature": 1.0, "min_p": 0.1, "seed": 9},
    "repetition": {"repetition_penalty": 1.8},
    "presence": {"temperature": 0.7, "presence_penalty": 1.5, "seed": 10},
    "frequency": {"temperature": 0.7, "frequency_penalty": 2.0, "repetition_penalty": 1.2, "seed": 11},
}
PROMPT = tuple(random.Random(1).randrange(VOCAB) for _ in range(23))


def same(outcome: Outcome, plain: Outcome) -> None:
    assert outcome.error is None
    assert outcome.tokens == plain.tokens
    assert outcome.logprobs == plain.logprobs
    assert outcome.finish == plain.finish


@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("tree", [False, True], ids=["chain", "tree"])
@pytest.mark.parametrize("order", [0, 2], ids=["prefix", "pairs"])
def test_scripted_drafts_change_nothing(sampling: str, tree: bool, order: int) -> None:
    ask = Ask(PROMPT, SAMPLING[sampling], max_tokens=60, logprobs=2)
    plain = solo(ask, order=order)
    assert len(plain.tokens) == 60
    for drafts in (1, 2, 4, 7, 15):
        for acceptance in (0.0, 0.4, 0.8, 1.0):
            request = ask.scripted(plain.tokens, acceptance, drafts=drafts, tree=tree, seed=drafts)
            [outcome] = run(native.FakeEngine(order=order), [request])
            same(outcome, plain)


@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("order", [0, 1, 2], ids=["prefix", "singles", "pairs"])
def test_lookup_drafts_change_nothing(sampling: str, order: int) -> None:
    ask = Ask(PROMPT, SAMPLING[sampling], max_tokens=100)
    plain = solo(ask, order=order)
    for drafts in (1, 4, 7, 15):
        for adaptive in (False, True):
            options = _core.DraftOptions(source="lookup", max_drafts=drafts, adaptive=adaptive)
            same(run(native.FakeEngine(order=order), [ask.request(options)])[0], plain)


@pytest.mark.parametrize("chunk", [1, 2, 7, 16, 64, 512])
@pytest.mark.parametrize("max_rows", [1, 3, 64])
def test_chunks_and_row_limits_change_nothing(chunk: int, max_rows: int) -> None:
    ask = Ask(PROMPT * 4, SAMPLING["hot"], max_tokens=20)
    plain = solo(ask, max_rows=512)
    engine = native.FakeEngine(max_rows=max_rows)
    [outcome] = run(engine, [ask.scripted(plain.tokens, 0.8)], chunk=chunk)
    same(outcome, plain)
    assert engine.most_rows <= max_rows


@pytest.mark.parametrize("slots", [2, 5, 16])
def test_neighbours_change_nothing(slots: int) -> None:
    """A batch of every kind of sampling and draft, twice as many as there are slots."""
    draw = random.Random(slots)
    kinds = list(SAMPLING.values())
    asks = [
        Ask(
            tuple(draw.randrange(VOCAB) for _ in range(draw.randrange(1, 40))),
            kinds[i % len(kinds)],
            max_tokens=draw.randrange(1, 50),
        )
        for i in range(2 * slots)
    ]
    plains = [solo(ask) for ask in asks]
    requests = [
        ask.scripted(plain.tokens, draw.random(), drafts=draw.randrange(16), tree=draw.random() < 0.5, seed=i)
        if i % 3
        else ask.request(_core.DraftOptions(source="lookup"))
        for i, (ask, plain) in enumerate(zip(asks, plains, strict=True))
    ]
    for outcome, plain in zip(run(native.FakeEngine(slots=slots), requests, chunk=9), plains, strict=True):
        same(outcome, plain)


def test_two_sequences_with_one_seed_share_nothing() -> None:
    ask = Ask(PROMPT, SAMPLING["sampled"])
    plain = solo(ask)
    for outcome in run(native.FakeEngine(slots=3), [ask.request()] * 3):
        same(outcome, plain)


def test_right_drafts_save_steps() -> None:
    """Every draft right: 7 of them and a free token per step; the first token comes with the prompt."""
    ask = Ask(PROMPT, max_tokens=41)
    plain = solo(ask)
    [outcome] = run(native.FakeEngine(), [ask.scripted(plain.tokens, 1.0, drafts=7)])
    assert outcome.commits == [1, 8, 8, 8, 8, 8]
    stats = outcome.counters
    assert (stats.steps, stats.generated_tokens, stats.prompt_tokens) == (5, 41, len(PROMPT))
    assert stats.drafted_per_position == stats.accepted_per_position == [5] * 7
    assert plain.counters.steps == 40
    assert plain.counters.drafted_per_position == []


def test_counters_count_depths_of_trees() -> None:
    ask = Ask(PROMPT, max_tokens=30)
    plain = solo(ask)
    [outcome] = run(native.FakeEngine(), [ask.scripted(plain.tokens, 1.0, drafts=15, tree=True)])
    stats = outcome.counters
    assert sum(outcome.commits) == 30
    assert stats.generated_tokens == 1 + stats.steps + sum(stats.accepted_per_position)
    assert all(
        a <= d <= stats.steps
        for a, d in zip(stats.accepted_per_position, stats.drafted_per_position, strict=True)
    )


def test_adaptive_drafting_follows_cost_and_acceptance() -> None:
    """Text that repeats is drafted where rows are cheap; nothing is drafted where each row costs a step."""
    ask = Ask(PROMPT, max_tokens=300)
    options = _core.DraftOptions(source="lookup")
    plain = solo(ask, order=1)  # each token decides the next: the text soon repeats
    steep = [float(rows) for rows in range(1, 9)]
    [cheap] = run(timed_engine(COSTS, order=1), [ask.request(options)], verify_ms=COSTS)
    [dear] = run(timed_engine(steep, order=1), [ask.request(options)], verify_ms=steep)
    same(cheap, plain)
    same(dear, plain)
    assert cheap.counters.steps < 100
    assert dear.counters.steps > 290
    random_text = Ask(PROMPT, {"temperature": 100.0}, max_tokens=300)
    costs = [1.0, 1.2, 1.4]
    [hopeless] = run(timed_engine(costs), [random_text.request(options)], verify_ms=costs)
    assert sum(hopeless.counters.drafted_per_position) < 30


def test_costs_are_measured_when_none_are_given() -> None:
    ask = Ask(PROMPT, max_tokens=10)
    engine = native.FakeEngine()
    [outcome] = run(engine, [ask.request(_core.DraftOptions(source="lookup"))], verify_ms=())
    same(outcome, solo(ask))
    assert engine.verify_calls > 10 + 7 * 16
    assert run(engine, [ask.request(NO_DRAFTS)], verify_ms=())[0].tokens == outcome.tokens
