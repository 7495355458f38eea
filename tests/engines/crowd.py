"""One request among random neighbours."""

from __future__ import annotations

import numpy as np
from decoding import Case

from mtp_rt._core import Engine, Request, Scheduler


class Crowd:
    """Random neighbours: they arrive when they like, draft as they like, and some are cancelled."""

    def __init__(self, scheduler: Scheduler, rng: np.random.Generator, ids: list[list[int]]) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self._ids = ids
        self._numbers: list[int] = []

    def send(self) -> None:
        rng = self._rng
        prompt = self._ids[rng.integers(len(self._ids))] * int(rng.integers(1, 4))
        sampling = {"temperature": float(rng.choice([0.0, 0.8, 1.3])), "seed": int(rng.integers(1 << 40))}
        case = Case(prompt, sampling, int(rng.integers(1, 60)), stop=(0,) if rng.random() < 0.5 else ())
        source = str(rng.choice(["none", "lookup", "auto"]))
        self._numbers.append(self._scheduler.submit(case.request(source, int(rng.integers(1, 8)))))

    def stir(self, most: int) -> None:
        """Send one more while there are fewer than `most` requests; cancel one now and then."""
        if self._scheduler.running + self._scheduler.waiting < most and self._rng.random() < 0.5:
            self.send()
        if self._numbers and self._rng.random() < 0.05:
            self._scheduler.cancel(self._numbers.pop(self._rng.integers(len(self._numbers))))


def decode_among(engine: Engine, request: Request, size: int, seed: int, ids: list[list[int]]) -> list[int]:
    """Return the text of `request`, submitted at some step into a crowd of up to `size` - 1 others."""
    rng = np.random.default_rng(seed)
    scheduler = Scheduler(engine, prefill_chunk=int(rng.choice([4, 16, 128])))
    crowd = Crowd(scheduler, rng, ids)
    for _ in range(int(rng.integers(size))):
        crowd.send()
    for _ in range(int(rng.integers(10))):
        crowd.stir(size)
        scheduler.run_once()
    number = scheduler.submit(request)
    text: list[int] = []
    while True:
        crowd.stir(size)
        for event in scheduler.run_once():
            if event.request == number:
                assert event.error is None
                text += event.tokens
                if event.finish_reason is not None:
                    return text
