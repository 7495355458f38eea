"""Timing on a machine that is never quiet: interleaved rounds, medians, the memory bandwidth beside."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from mtp_rt import _core, machine

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Called with what is under way, how much of it is done, and how much there is."""

PROBE_SECONDS = 0.1


def no_progress(what: str, done: int, total: int) -> None:
    """Report nothing."""


def interleaved(items: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield (round, item): each round holds every item once, in another order than the round before.

    The start moves on by one each round and odd rounds run backwards, so that no item always follows the same
    one or always meets the same drift of the machine.
    """
    for index in range(rounds):
        start = index % len(items) if items else 0
        order = [*items[start:], *items[:start]]
        for item in order if index % 2 == 0 else reversed(order):
            yield index, item


class BandwidthProbe:
    """Streaming-read bandwidth in GB/s, sampled between timed rounds: the speed limit at that moment.

    Args:
        threads: Threads that read; as many as the engine uses.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.samples: list[float] = []

    def sample(self) -> float:
        """Measure now, keep the figure and return it."""
        self.samples.append(_core.read_bandwidth(self._threads, PROBE_SECONDS))
        return self.samples[-1]

    def around(self) -> float:
        """Return the mean of the two latest samples: what held while the work between them ran."""
        latest = self.samples[-2:]
        return sum(latest) / len(latest)


def machine_facts(isa: str, threads: int, probe: BandwidthProbe) -> dict[str, Any]:
    """Return the `machine` object of a result; bandwidth as median and range of the samples."""
    return {
        "cpu": machine.cpu_name(),
        "isa": isa,
        "threads": threads,
        "read_bandwidth_gb_s": rounded(median(probe.samples), 2),
        "read_bandwidth_range_gb_s": [rounded(min(probe.samples), 2), rounded(max(probe.samples), 2)],
    }


def peak_bytes() -> int:
    """Return the largest resident size of this process so far.

    The kernel's own mark, for getrusage() starts at the size of the parent.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == "VmHWM":
            return int(value.split()[0]) * 1024
    return 0


def today() -> str:
    """Return the date and time of now in UTC, ISO 8601, whole seconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def rounded(value: float, digits: int = 4) -> float:
    """Return a figure for a report: no more digits than the measurement has."""
    return round(float(value), digits)


def rate(tokens: int, seconds: float) -> float:
    """Return tokens per second; 0 where nothing was decoded."""
    return tokens / seconds if tokens and seconds > 0 else 0.0
