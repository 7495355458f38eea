"""Step time by width and context, where it goes, and how near it is to the memory's speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mtp_rt import _core
from mtp_rt.bench import measure
from mtp_rt.bench.draft_times import draft_ms
from mtp_rt.errors import ArgumentError

DEFAULT_CONTEXTS = (64, 1024)
CALLS_PER_ROUND = 4


@dataclass(frozen=True)
class Settings:
    """What `bench steps` runs.

    Attributes:
        widths: Rows of a verify call; 1 is a plain step and is always measured.
        contexts: Committed tokens before the rows; empty for 64 and 1,024 as far as the engine has room.
        repeat: Rounds; each times every width once, four calls in a row.
    """

    widths: tuple[int, ...]
    contexts: tuple[int, ...]
    repeat: int

    def checked(self, info: _core.EngineInfo) -> Settings:
        """Return the settings sorted, with width 1.

        Raises:
            ArgumentError: the engine cannot run a width behind a context.
        """
        widths = tuple(sorted({1, *self.widths}))
        if widths[0] < 1 or widths[-1] > info.max_rows:
            raise ArgumentError(f"widths must lie in 1 .. {info.max_rows}, got {self.widths}")
        room = info.context - widths[-1]
        fitting = tuple(context for context in DEFAULT_CONTEXTS if context <= room) or (room,)
        contexts = tuple(sorted(set(self.contexts))) or fitting
        if contexts[0] < 1 or contexts[-1] > room:
            raise ArgumentError(
                f"contexts must lie in 1 .. {room}, got {self.contexts}: the rows need room in the context "
                f"of {info.context} tokens too"
            )
        return Settings(widths, contexts, self.repeat)


@dataclass(frozen=True)
class Round:
    """Seconds of the calls of each width behind a context, and the bandwidth around them in GB/s."""

    seconds: dict[int, list[float]]
    bandwidth: float

    def ratio(self, width: int) -> float:
        """Return what a call of `width` rows cost in plain steps of the same round."""
        return median(self.seconds[width]) / median(self.seconds[1])


def run(
    engine: _core.Engine, settings: Settings, progress: measure.Progress = measure.no_progress
) -> dict[str, Any]:
    """Return the result of `bench steps` (docs/benchmarks.md), without model and date.

    Raises:
        ArgumentError: the engine cannot run a width behind a context.
    """
    settings = settings.checked(engine.info)
    probe = measure.BandwidthProbe(engine.info.threads)
    total = settings.repeat * len(settings.contexts) * len(settings.widths)
    done = 0
    rounds: dict[int, list[Round]] = {}
    text = _core.sample_text(engine, settings.contexts[-1] + settings.widths[-1])
    for context in settings.contexts:
        _core.time_verify(engine, settings.widths[-1], context, 1, text=text)
        probe.sample()
        seconds: dict[int, list[float]] = {}
        for _, width in measure.interleaved(settings.widths, settings.repeat):
            seconds[width] = list(_core.time_verify(engine, width, context, CALLS_PER_ROUND, text=text))
            done += 1
            progress("timing steps", done, total)
            if len(seconds) == len(settings.widths):
                probe.sample()
                rounds.setdefault(context, []).append(Round(seconds, probe.around()))
                seconds = {}
    split = _core.split_times(engine, 1, settings.contexts[0], settings.repeat * CALLS_PER_ROUND, text)
    probe.sample()
    return {
        **tables(rounds),
        "draft_ms": draft_ms(engine, text, settings.contexts[0], settings.repeat * CALLS_PER_ROUND),
        "split_ms": {phase: measure.rounded(ms) for phase, ms in split.items()},
        "weight_bytes": engine.info.weight_bytes,
        "read_bandwidth_gb_s": measure.rounded(median(probe.samples), 2),
        "bandwidth_fraction": measure.rounded(
            bandwidth_fraction(rounds[settings.contexts[0]], engine.info.weight_bytes)
        ),
        "repeat": settings.repeat,
        "machine": measure.machine_facts(engine.info.isa, engine.info.threads, probe),
    }


def tables(rounds: dict[int, Sequence[Round]] | dict[int, list[Round]]) -> dict[str, Any]:
    """Return `verify_ms` and `verify_ratio`: [context][width] medians, in ms and in plain steps."""
    verify_ms: dict[str, dict[str, float]] = {}
    ratio: dict[str, dict[str, float]] = {}
    for context, measured in rounds.items():
        widths = sorted(measured[0].seconds)
        verify_ms[str(context)] = {
            str(width): measure.rounded(1e3 * median(s for r in measured for s in r.seconds[width]))
            for width in widths
        }
        ratio[str(context)] = {
            str(width): measure.rounded(median(r.ratio(width) for r in measured)) for width in widths
        }
    return {"verify_ms": verify_ms, "verify_ratio": ratio}


def bandwidth_fraction(rounds: Sequence[Round], weight_bytes: int) -> float:
    """Return the share of the read bandwidth that plain steps reach: bytes of weights over step time.

    Each round is held against the bandwidth measured before and after it, for that changes within minutes.
    """
    return median(weight_bytes / median(r.seconds[1]) / (r.bandwidth * 1e9) for r in rounds)
