"""Decoding groups of requests through the scheduler, with the clock on decoding alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mtp_rt import _core
from mtp_rt.errors import EngineError


@dataclass
class Decoded:
    """What became of one request."""

    tokens: list[int] = field(default_factory=list)
    stats: _core.Stats | None = None

    @property
    def decode_seconds(self) -> float:
        """Seconds from its first token to its last."""
        return self.stats.decode_seconds if self.stats else 0.0

    @property
    def steps(self) -> int:
        """Verify calls after the prompt."""
        return self.stats.steps if self.stats else 0


@dataclass(frozen=True)
class Group:
    """What requests that ran together did.

    Attributes:
        requests: In the order they were submitted.
        prefill_seconds: From submitting until every request had its first token.
        decode_seconds: From then until the last token of all.
        decoded: Tokens committed in `decode_seconds`.
    """

    requests: list[Decoded]
    prefill_seconds: float
    decode_seconds: float
    decoded: int


def decode(
    scheduler: _core.Scheduler,
    requests: Sequence[_core.Request],
    ended: Callable[[int], None] = lambda count: None,
) -> Group:
    """Submit the requests together, step the scheduler until all have ended, and return what they did.

    Args:
        scheduler: Has nothing else to do.
        requests: As many as there are to be; those beyond the slots wait.
        ended: Called with the number of requests that have ended, whenever one does.

    Raises:
        EngineError: a request ended with an error.
    """
    submitted = time.perf_counter()
    results = {scheduler.submit(request): Decoded() for request in requests}
    waiting, running = set(results), set(results)
    all_started = finished = submitted
    decoded = 0
    while running:
        events = scheduler.run_once()
        now = time.perf_counter()
        for event in events:
            if event.error is not None:
                raise EngineError(f"a benchmark request failed: {event.error}")
            result = results[event.request]
            result.tokens += event.tokens
            if not waiting:
                decoded += len(event.tokens)
                finished = now
            if event.finish_reason is not None:
                result.stats = event.stats
                running.discard(event.request)
                ended(len(results) - len(running))
        started = {event.request for event in events if event.tokens}
        if waiting and waiting <= started | (set(results) - waiting):
            all_started = finished = now
        waiting -= started
    return Group(list(results.values()), all_started - submitted, finished - all_started, decoded)
