"""Seeded traces of arrivals, limits, drafts, cancellations and faults against each request run alone.

Safety: what a request emits is the start of its solo text, all of it unless cancelled or failed. Liveness:
all end within bounded steps. Afterwards nothing is left. A failing seed replays with `trace(seed)`.
"""

from __future__ import annotations

import random

import pytest
from heads import Heads
from loop import Ask, Outcome, solo

from mtp_rt import _core
from mtp_rt import _core_testing as native

TRACES = 2000
PARTS = 8
SMALL_VOCAB = 24
FAULTS = ("fail_verify_at", "fail_commit_at", "fail_release_at", "fail_draft_at", "nan_at")


def draw_params(draw: random.Random) -> dict[str, float]:
    """Greedy or sampled, each further parameter switched on now and then."""
    params: dict[str, float] = {"seed": draw.randrange(4)}
    if draw.random() < 0.6:
        params["temperature"] = draw.choice([0.3, 0.8, 1.5])
    for field, values in (
        ("top_p", (0.5, 0.95)),
        ("top_k", (1, 4)),
        ("min_p", (0.05, 0.5)),
        ("presence_penalty", (1.0, -1.0)),
        ("frequency_penalty", (0.7,)),
        ("repetition_penalty", (1.3,)),
    ):
        if draw.random() < 0.2:
            params[field] = draw.choice(values)
    return params


def draw_ask(draw: random.Random, context: int) -> Ask:
    max_tokens = draw.randrange(1, 24)
    return Ask(
        tuple(draw.randrange(SMALL_VOCAB) for _ in range(draw.randrange(1, min(20, context)))),
        draw_params(draw),
        max_tokens=max_tokens,
        min_tokens=draw.choice([0, 0, draw.randrange(max_tokens + 1)]),
        stop=tuple(draw.sample(range(SMALL_VOCAB), draw.choice([0, 0, 1, 3]))),
        logprobs=draw.choice([None, None, 1]),
    )


def draw_request(draw: random.Random, ask: Ask, text: list[int]) -> _core.Request:
    kind = draw.choice(["none", "lookup", "adaptive", "chain", "tree", "heads", "adaptive heads", "auto"])
    most = draw.randrange(16)
    if kind in ("chain", "tree"):
        seed, tree = draw.randrange(99), kind == "tree"
        return ask.scripted(text, draw.random(), drafts=most, tree=tree, seed=seed, vocab=SMALL_VOCAB)
    source = {"adaptive": "lookup", "adaptive heads": "heads"}.get(kind, kind)
    adaptive = kind in ("adaptive", "adaptive heads", "auto")
    width = draw.randrange(5)
    return ask.request(_core.DraftOptions(source=source, max_drafts=most, adaptive=adaptive, max_width=width))


def trace(seed: int) -> None:
    """Run one trace; assert safety, liveness and that resources return."""
    draw = random.Random(seed)
    fixed = {"vocab_size": SMALL_VOCAB, "context": draw.randrange(8, 60), "order": draw.choice([0, 0, 1, 2])}
    fault = draw.choice(["", "", "", *FAULTS])
    faults = {fault: draw.randrange(1, 25)} if fault else {}
    slots = draw.randrange(1, 5)
    rows, heads = draw.randrange(1, 33), draw.randrange(1, 6)
    engine = native.FakeEngine(slots=slots, max_rows=rows, extra_heads=heads, **fixed, **faults)
    costs = sorted(draw.uniform(1, 3) for _ in range(draw.randrange(1, 9)))
    scheduler = native.scheduler(engine, prefill_chunk=draw.randrange(1, 20), verify_ms=costs)

    asks = [draw_ask(draw, fixed["context"]) for _ in range(draw.randrange(1, 6))]
    plains = [solo(ask, **fixed) for ask in asks]
    texts = [[*ask.prompt, *plain.tokens] for ask, plain in zip(asks, plains, strict=True)]
    second = draw.random()
    engine.set_heads(Heads(texts, draw.random(), siblings=[second], seed=seed, vocab=SMALL_VOCAB))
    outcomes: dict[int, Outcome] = {}
    cancelled: set[int] = set()
    numbers: list[int] = []
    for _ in range(2000):
        if len(numbers) < len(asks) and draw.random() < 0.4:
            index = len(numbers)
            numbers.append(scheduler.submit(draw_request(draw, asks[index], plains[index].tokens)))
            outcomes[numbers[-1]] = Outcome()
        if numbers and draw.random() < 0.02 and scheduler.cancel(number := draw.choice(numbers)):
            cancelled.add(number)
        for event in scheduler.run_once():
            outcomes[event.request].add(event)
        if (
            len(numbers) == len(asks)
            and not scheduler.running + scheduler.waiting
            and numbers[-1] in outcomes
        ):
            break
    for event in scheduler.run_once():  # of requests cancelled while waiting
        outcomes[event.request].add(event)

    for number, plain in zip(numbers, plains, strict=True):
        outcome = outcomes[number]
        assert outcome.tokens == plain.tokens[: len(outcome.tokens)]
        assert outcome.logprobs == plain.logprobs[: len(outcome.logprobs)]
        assert outcome.counters.generated_tokens == len(outcome.tokens)
        if outcome.finish == "error":
            assert fault in ("fail_verify_at", "fail_commit_at", "fail_draft_at", "nan_at")
        elif outcome.finish == "cancelled":
            assert number in cancelled
        else:
            assert (outcome.tokens, outcome.finish) == (plain.tokens, plain.finish)
    assert (scheduler.running, scheduler.waiting) == (0, 0)
    left = [engine.length(slot) for slot in range(slots)]
    assert left == [0] * slots or (fault == "fail_release_at" and sum(length > 0 for length in left) == 1)


@pytest.mark.parametrize("part", range(PARTS))
def test_traces(part: int) -> None:
    for seed in range(part, TRACES, PARTS):
        try:
            trace(seed)
        except AssertionError as error:
            raise AssertionError(f"trace({seed}): {error}") from error


def test_traces_meet_what_they_are_for() -> None:
    """The texts of a sample end in both ways, so the traces do not pass for want of cases."""
    draw = random.Random(0)
    ends = [solo(draw_ask(draw, 40), vocab_size=SMALL_VOCAB, context=40).finish for _ in range(100)]
    assert min(ends.count("stop"), ends.count("length")) > 10
