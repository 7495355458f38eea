"""Plain against drafted decoding: the same prompts, interleaved, token by token the same text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from mtp_rt import _core, hub
from mtp_rt.bench import measure, session
from mtp_rt.bench.prompts import Item
from mtp_rt.bench.session import Decoded, Group
from mtp_rt.costs import open_scheduler
from mtp_rt.model_dir import read_model_dir
from mtp_rt.request import draft_options, native_request
from mtp_rt.sampling_params import SamplingParams

Mode = Literal["plain", "mtp"]
MODES: tuple[Mode, ...] = ("plain", "mtp")
FILLS = 4  # at least so many requests for each place of a batch


@dataclass(frozen=True)
class Settings:
    """What `bench decode` runs.

    Attributes:
        params: How tokens are chosen and where a text ends, in both modes. Prompt i gets seed + i.
        drafts: What the mtp mode drafts; the plain mode drafts nothing.
        repeat: Times that every prompt is decoded in both modes.
        batches: Requests that run at a time; each size is a separate measurement.
    """

    params: SamplingParams
    drafts: _core.DraftOptions
    repeat: int
    batches: tuple[int, ...]


@dataclass
class Pair:
    """Every run of one group of prompts."""

    indices: list[int]
    runs: dict[Mode, list[Group]] = field(default_factory=lambda: {mode: [] for mode in MODES})

    def first(self, mode: Mode) -> list[Decoded]:
        """Return the requests of the first run: without timing, runs of a mode differ in nothing."""
        return self.runs[mode][0].requests


def run(
    engine: _core.Engine,
    folder: Path,
    items: Sequence[Item],
    settings: Settings,
    progress: measure.Progress = measure.no_progress,
) -> dict[str, Any]:
    """Return the result of `bench decode` (docs/benchmarks.md), without model and date.

    Args:
        engine: With as many slots as the largest batch.
        folder: The model directory it was opened from.
        items: Prompts; a batch takes them from the start again as often as it needs.
        settings: What to run.
        progress: Called after every group of prompts.

    Raises:
        EngineError: a request failed.
    """
    scheduler = open_scheduler(engine, folder, hub.cache_root())
    end_tokens = read_model_dir(folder).config.eos
    requests = {
        mode: [request(item, index, settings, mode, end_tokens) for index, item in enumerate(items)]
        for mode in MODES
    }
    for mode in MODES:
        session.decode(scheduler, requests[mode][:1])  # warm-up
    plan = [(batch, [Pair(indices) for indices in groups(len(items), batch)]) for batch in settings.batches]
    total = sum(len(pairs) for _, pairs in plan) * settings.repeat
    done = 0
    probe = measure.BandwidthProbe(engine.info.threads)
    probe.sample()
    for repeat in range(settings.repeat):
        for batch, pairs in plan:
            for number, pair in enumerate(pairs):
                for mode in MODES if (repeat + number) % 2 == 0 else reversed(MODES):
                    wanted = [requests[mode][index] for index in pair.indices]
                    pair.runs[mode].append(session.decode(scheduler, wanted, together=batch))
                done += 1
                progress("decoding", done, total)
            probe.sample()
    results = [{"batch": batch, **summary(items, pairs)} for batch, pairs in plan]
    top = next((result for result in results if result["batch"] == 1), results[0])
    machine = measure.machine_facts(engine.info.isa, engine.info.threads, probe)
    several = {"batches": results} if len(results) > 1 else {}
    return {**top, **several, "prompts": len(items), "repeat": settings.repeat, "machine": machine}


def groups(count: int, batch: int) -> list[list[int]]:
    """Return the prompts of each run: alone, or all of them, FILLS batches at least, in one."""
    if batch == 1:
        return [[index] for index in range(count)]
    return [[index % count for index in range(max(count, FILLS * batch))]]


def request(
    item: Item, index: int, settings: Settings, mode: Mode, end_tokens: Sequence[int]
) -> _core.Request:
    """Return the request for prompt `index`; the modes differ in the drafts alone."""
    return native_request(
        item.tokens,
        settings.params,
        seed=((settings.params.seed or 0) + index) % 2**64,
        end_tokens=end_tokens,
        drafts=settings.drafts if mode == "mtp" else draft_options(0, "none"),
    )


def summary(items: Sequence[Item], pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return rates, acceptance, differences and the split by source of one batch size."""
    plain, mtp = (tokens_per_second(pairs, mode) for mode in MODES)
    drafted = [decoded for pair in pairs for decoded in pair.first("mtp")]
    per_step = tokens_per_step(drafted)
    speedup = mtp / plain if plain else 0.0
    return {
        "plain": {"tokens_per_second": measure.rounded(plain, 2)},
        "mtp": {
            "tokens_per_second": measure.rounded(mtp, 2),
            "tokens_per_step": measure.rounded(per_step),
            "accepted_per_position": accepted_per_position(drafted),
            "draft_share": measure.rounded(draft_share(pairs)),
        },
        "speedup": measure.rounded(speedup),
        "loop_efficiency": measure.rounded(speedup / per_step if per_step else 0.0),
        "differing_tokens": sum(differing_tokens(pair) for pair in pairs),
        "tokens": sum(
            len(done.tokens) for pair in pairs for run in pair.runs["plain"] for done in run.requests
        ),
        "per_source": per_source(items, pairs),
    }


def tokens_per_second(pairs: Sequence[Pair], mode: Mode) -> float:
    """Return the decoding rate over all groups: each counts with the median of its seconds per token."""
    tokens = seconds = 0.0
    for pair in pairs:
        timed = [run for run in pair.runs[mode] if run.decoded and run.decode_seconds > 0]
        if timed:
            decoded = sum(max(0, len(done.tokens) - 1) for done in pair.first(mode))
            tokens += decoded
            seconds += decoded * median(run.decode_seconds / run.decoded for run in timed)
    return tokens / seconds if seconds else 0.0


def tokens_per_step(requests: Sequence[Decoded]) -> float:
    """Return tokens after the first over verify calls after the prompt."""
    steps = sum(done.steps for done in requests)
    return sum(max(0, len(done.tokens) - 1) for done in requests) / steps if steps else 0.0


def accepted_per_position(requests: Sequence[Decoded]) -> list[float]:
    """Return [k]: share of all steps whose draft k was accepted, up to the deepest draft ever verified."""
    stats = [done.stats for done in requests if done.stats is not None]
    steps = sum(stat.steps for stat in stats)
    depth = max((sum(n > 0 for n in stat.drafted_per_position) for stat in stats), default=0)
    accepted = [
        sum(stat.accepted_per_position[k] for stat in stats if k < len(stat.accepted_per_position))
        for k in range(depth)
    ]
    return [measure.rounded(count / steps) for count in accepted] if steps else []


def draft_share(pairs: Sequence[Pair]) -> float:
    """Return the share of decoding time that went into proposing drafts."""
    stats = [
        done.stats
        for pair in pairs
        for run in pair.runs["mtp"]
        for done in run.requests
        if done.stats is not None
    ]
    seconds = sum(stat.decode_seconds for stat in stats)
    return sum(stat.draft_seconds for stat in stats) / seconds if seconds else 0.0


def differing_tokens(pair: Pair) -> int:
    """Return at how many places any run with drafts left the text of the plain run beside it."""
    return sum(
        sum(a != b for a, b in zip(one.tokens, other.tokens, strict=False))
        + abs(len(one.tokens) - len(other.tokens))
        for plain, mtp in zip(pair.runs["plain"], pair.runs["mtp"], strict=True)
        for one, other in zip(plain.requests, mtp.requests, strict=True)
    )


def per_source(items: Sequence[Item], pairs: Sequence[Pair]) -> dict[str, dict[str, Any]]:
    """Return tokens per step and speed-up of each source, from the requests' own decoding times."""
    result: dict[str, dict[str, Any]] = {}
    for source in sorted({item.source for item in items}):
        places = [
            (pair, place)
            for pair in pairs
            for place, index in enumerate(pair.indices)
            if items[index].source == source
        ]
        seconds = {
            mode: sum(
                median(run.requests[place].decode_seconds for run in pair.runs[mode])
                for pair, place in places
            )
            for mode in MODES
        }
        drafted = [pair.first("mtp")[place] for pair, place in places]
        per_step = tokens_per_step(drafted)
        speedup = seconds["plain"] / seconds["mtp"] if seconds["mtp"] else 0.0
        result[source] = {
            "tokens_per_step": measure.rounded(per_step),
            "speedup": measure.rounded(speedup),
            "loop_efficiency": measure.rounded(speedup / per_step if per_step else 0.0),
            "tokens": sum(len(done.tokens) for done in drafted),
        }
    return result
