"""Runs requests through the real scheduler, on a fake engine unless told otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mtp_rt import _core
from mtp_rt import _core_testing as native

VOCAB = 64  # the fake engine's default
NO_DRAFTS = _core.DraftOptions(source="none")
COSTS = (1.0, 1.02, 1.05, 1.1, 1.3, 1.6, 1.9, 2.2)  # of a machine where four rows are nearly free


@dataclasses.dataclass(frozen=True)
class Ask:
    """A request that can be made again: with other drafts, or alone."""

    prompt: tuple[int, ...]
    params: dict[str, float] = dataclasses.field(default_factory=dict)
    max_tokens: int = 32
    min_tokens: int = 0
    stop: tuple[int, ...] = ()
    logprobs: int | None = None

    def request(self, drafts: _core.DraftOptions = NO_DRAFTS) -> _core.Request:
        return _core.Request(
            self.prompt,
            _core.SamplingParams(**self.params),  # type: ignore[arg-type]
            max_tokens=self.max_tokens,
            min_tokens=self.min_tokens,
            stop_token_ids=self.stop,
            logprobs=self.logprobs,
            drafts=drafts,
        )

    def scripted(
        self,
        text: Sequence[int],
        acceptance: float,
        *,
        drafts: int = 7,
        tree: bool = False,
        seed: int = 0,
        vocab: int = VOCAB,
        adaptive: bool = False,
    ) -> _core.Request:
        """The request with drafts around `text`, the tokens that it is known to generate."""
        request = self.request(_core.DraftOptions(max_drafts=drafts, adaptive=adaptive))
        reference = [*self.prompt, *text]
        native.script(request, reference, acceptance=acceptance, tree=tree, seed=seed, vocab_size=vocab)
        return request


@dataclasses.dataclass
class Outcome:
    """Everything that the events of one request said."""

    tokens: list[int] = dataclasses.field(default_factory=list)
    logprobs: list[list[tuple[int, float, int]]] = dataclasses.field(default_factory=list)
    commits: list[int] = dataclasses.field(default_factory=list)
    finish: str | None = None
    error: str | None = None
    stats: _core.Stats | None = None

    def add(self, event: _core.Event) -> None:
        assert self.finish is None, "an event after the last one"
        assert event.tokens or event.finish_reason, "an event that says nothing"
        self.tokens += event.tokens
        self.logprobs += [[(e.token, e.logprob, e.rank) for e in entries] for entries in event.logprobs]
        self.commits.append(len(event.tokens))
        self.finish, self.error, self.stats = event.finish_reason, event.error, event.stats

    @property
    def counters(self) -> _core.Stats:
        assert self.stats is not None
        return self.stats


def run(
    engine: _core.Engine,
    requests: Sequence[_core.Request],
    *,
    chunk: int = 128,
    verify_ms: Sequence[float] = COSTS,
    most_steps: int = 10_000,
) -> list[Outcome]:
    """Submit all, step until all have finished, and check that nothing is left in the engine."""
    scheduler_of = native.scheduler if isinstance(engine, native.FakeEngine) else _core.Scheduler
    scheduler = scheduler_of(engine, prefill_chunk=chunk, verify_ms=verify_ms)
    outcomes = {scheduler.submit(request): Outcome() for request in requests}
    for _ in range(most_steps):
        if not scheduler.running + scheduler.waiting:
            break
        for event in scheduler.run_once():
            outcomes[event.request].add(event)
    assert all(outcome.finish for outcome in outcomes.values()), "a request did not end"
    assert [engine.length(slot) for slot in range(engine.info.slots)] == [0] * engine.info.slots
    return list(outcomes.values())


def timed_engine(verify_ms: Sequence[float], **engine: int) -> native.FakeEngine:
    """A fake engine whose calls of w rows take `verify_ms[w - 1]` of its own time."""
    fake = native.FakeEngine(**engine)
    fake.set_verify_ms(verify_ms)
    return fake


def solo(ask: Ask, **engine: int) -> Outcome:
    """The request alone, without drafts, on a fresh engine: the text that every other way must give."""
    return run(native.FakeEngine(**engine), [ask.request()])[0]
