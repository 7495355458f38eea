"""Decoding groups of requests through the scheduler, with the clock on decoding alone."""

from __future__ import annotations

import time
from collections import deque
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
        prefill_seconds: From submitting until each of those that run first had its first token.
        decode_seconds: From then on while as many ran: until one ended and none followed.
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
    *,
    together: int | None = None,
) -> Group:
    """Decode the requests, so many at a time, and return what they did.

    Where one ends the next one follows, so that the rate is that of a full batch: a batch that runs dry ends
    with fewer rows a step, the sooner the more unequal its requests are.

    Args:
        scheduler: Has nothing else to do.
        requests: As many as there are to be.
        ended: Called with the number of requests that have ended, whenever one does.
        together: How many run at a time; None: all. Those beyond the slots wait.

    Raises:
        EngineError: a request ended with an error.
    """
    begun = time.perf_counter()
    results: dict[int, Decoded] = {}
    queue = deque(requests)

    def submit() -> int:
        number = scheduler.submit(queue.popleft())
        results[number] = Decoded()
        return number

    first = {submit() for _ in range(min(together or len(requests), len(requests)))}
    running, full = set(first), True
    started = finished = begun
    decoded = 0
    while running:
        events = scheduler.run_once()
        now = time.perf_counter()
        for event in events:
            if event.error is not None:
                raise EngineError(f"a benchmark request failed: {event.error}")
            results[event.request].tokens += event.tokens
        if full and not first:
            decoded += sum(len(event.tokens) for event in events)
            finished = now
        for event in (event for event in events if event.finish_reason is not None):
            results[event.request].stats = event.stats
            running.discard(event.request)
            ended(len(results) - len(running))
            if queue:
                running.add(submit())
            else:
                full = False
        if first:
            first -= {event.request for event in events}
            started = finished = now
    return Group(list(results.values()), started - begun, finished - started, decoded)
