"""A machine that a test makes up: what calls cost, and how that changes while requests run."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from loop import Outcome

from mtp_rt import _core
from mtp_rt import _core_testing as native

# Milliseconds of calls of 1 .. 16 rows, as measured on two cores whose memory bandwidth others share.
SLOW_MEMORY = (2.6, 2.6, 2.7, 2.8, 3.4, 3.7, 4.0, 4.8, 5.5, 6.1, 6.7, 7.4, 7.9, 8.5, 9.1, 9.6)
FAST_MEMORY = (1.6, 1.7, 2.0, 2.4, 2.9, 3.3, 3.8, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5)
LONG_CONTEXT = (3.5, 4.2, 4.8, 5.3, 7.5, 7.6, 8.5, 9.4, 10.2, 11.0, 11.8, 12.6, 13.8, 14.9, 16.1, 17.3)
BUSY = tuple(2.1 * ms for ms in SLOW_MEMORY)
ROWS_ARE_FREE = (1.0,) * 16
ROWS_COST_A_STEP = tuple(float(rows) for rows in range(1, 17))


@dataclasses.dataclass
class Machine:
    """Goes through `phases` again and again, each `seconds` long; calls vary by `noise`, some stall."""

    phases: Sequence[Sequence[float]]
    seconds: float = 1.0
    noise: float = 0.0
    stalls: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def prepare(self, engine: native.FakeEngine) -> None:
        """Set what the next call costs."""
        phase = self.phases[int(engine.seconds / self.seconds) % len(self.phases)]
        factor = self._draw.lognormvariate(0, self.noise)
        if self._draw.random() < self.stalls:
            factor *= self._draw.choice([2, 5, 10])
        engine.set_verify_ms([factor * ms for ms in phase])


@dataclasses.dataclass
class Timed:
    """What a run gave and how long it took on its machine."""

    outcomes: list[Outcome]
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return sum(len(outcome.tokens) for outcome in self.outcomes) / self.seconds


def run_on(
    machine: Machine,
    requests: Sequence[_core.Request],
    known: Sequence[float],
    engine: native.FakeEngine | None = None,
    after_step: Callable[[list[_core.Event]], None] = lambda events: None,
) -> Timed:
    """Decode side by side on a machine whose curve was once measured as `known`."""
    engine = engine or native.FakeEngine(slots=len(requests), max_rows=128)
    scheduler = native.scheduler(engine, verify_ms=known)
    outcomes = {scheduler.submit(request): Outcome() for request in requests}
    while scheduler.running + scheduler.waiting:
        machine.prepare(engine)
        events = scheduler.run_once()
        for event in events:
            outcomes[event.request].add(event)
        after_step(events)
    assert all(outcome.error is None for outcome in outcomes.values())
    return Timed(list(outcomes.values()), engine.seconds)
