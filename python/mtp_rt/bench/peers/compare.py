"""The same work on this project and on its peers, in interleaved rounds."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from mtp_rt.bench import measure
from mtp_rt.bench.peers import GPU_PEERS, PEERS, PLANNED_PEERS, adapter, on_gpu
from mtp_rt.bench.peers.process import Process
from mtp_rt.bench.peers.protocol import Run, Setup, Work
from mtp_rt.errors import ArgumentError
from mtp_rt.request import Drafts

PLAIN = "ours, plain"
MTP = "ours, mtp"
PREFILL_TOKENS = 512
WARM_UP_TOKENS = 16


@dataclass(frozen=True)
class Settings:
    """What `bench peers` runs.

    Attributes:
        against: Names of peers.
        threads: Threads of every system.
        max_tokens: Tokens that every system decodes after every prompt, past any end token.
        repeat: Rounds; each holds every prompt on every system, and a prefill of 512 tokens.
        drafts: "auto" or a number, for our drafted run.
        engine: What we run the model with.
        provider: Where our engine "onnxruntime" runs.
    """

    against: tuple[str, ...]
    threads: int
    max_tokens: int
    repeat: int
    drafts: Drafts = "auto"
    engine: str = "native"
    provider: str = "cpu"

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            ArgumentError: a name is unknown, not supported yet or of another device than our engine's, or
                there is none.
        """
        for name in self.against:
            if name in PLANNED_PEERS:
                raise ArgumentError(f"the peer {name} is not supported yet; supported: {', '.join(PEERS)}")
            if name not in PEERS:
                raise ArgumentError(f"unknown peer {name!r}; supported: {', '.join(PEERS)}")
            if on_gpu(self.engine, self.provider) and name not in GPU_PEERS:
                usable = ", ".join(GPU_PEERS)
                raise ArgumentError(
                    f"the peer {name} runs on the CPU; beside an engine on a GPU use {usable}"
                )
        if not self.against:
            raise ArgumentError(f"no peer to compare with; supported: {', '.join(PEERS)}")


@dataclass
class Measured:
    """What one system did: per round, a run of every prompt and the prefill of a long one."""

    rounds: list[list[Run]] = field(default_factory=list)
    prefills: list[Run] = field(default_factory=list)

    def decode_seconds(self, index: int) -> float:
        """Return the decoding time of all prompts in a round."""
        return sum(run.decode_seconds for run in self.rounds[index])

    @property
    def tokens_per_second(self) -> float:
        """Tokens after the first of each prompt, over the median round's decoding time."""
        tokens = sum(len(run.tokens) - 1 for run in self.rounds[0])
        return measure.rate(tokens, median(self.decode_seconds(index) for index in range(len(self.rounds))))

    @property
    def prefill_tokens_per_second(self) -> float:
        """Tokens of the long prompt over the median time to the first token."""
        return PREFILL_TOKENS / median(run.prefill_seconds for run in self.prefills)

    @property
    def tokens_per_step(self) -> float:
        """Tokens after the first of each prompt over model calls after the prompts."""
        runs = self.rounds[0]
        return sum(len(run.tokens) - 1 for run in runs) / max(1, sum(run.steps for run in runs))

    @property
    def peak_bytes(self) -> int:
        """Largest resident size of the process."""
        return max(run.peak_bytes for run in [*self.prefills, *(run for one in self.rounds for run in one)])


def run(
    model: str,
    prompts: Sequence[list[int]],
    settings: Settings,
    progress: measure.Progress = measure.no_progress,
) -> dict[str, Any]:
    """Return the result of `bench peers` (docs/benchmarks.md), without model and date.

    Args:
        model: Model directory. Peers get their form of it, converted once and cached.
        prompts: Token ids; all systems get the same.
        settings: What to run.
        progress: Called after every run.

    Raises:
        UnsupportedError: a peer is not installed, or cannot run this model.
        EngineError: a system failed.
    """
    context = max(PREFILL_TOKENS + 1, max(map(len, prompts)) + settings.max_tokens) + 15
    ours: dict[str, Drafts] = {PLAIN: 0, MTP: settings.drafts}
    setups = {
        name: Setup("mtp-rt", model, settings.threads, context, drafts, settings.engine, settings.provider)
        for name, drafts in ours.items()
    }
    for name in settings.against:
        progress(f"preparing the model for {name}", 0, 0)
        setups[name] = dataclasses.replace(setups[PLAIN], adapter=name, path=adapter(name).prepare(model))
    probe = measure.BandwidthProbe(settings.threads)
    with contextlib.ExitStack() as stack:
        systems = {name: stack.enter_context(Process(name, setup)) for name, setup in setups.items()}
        for process in systems.values():
            process.run(Work(prompts[0], min(WARM_UP_TOKENS, settings.max_tokens)))
        measured = interleave(systems, prompts, settings, probe, progress)
        ready = {name: process.ready for name, process in systems.items()}
    return {
        "ours": {
            "plain": report(measured[PLAIN], ready[PLAIN]),
            "mtp": {
                **report(measured[MTP], ready[MTP]),
                "tokens_per_step": measure.rounded(measured[MTP].tokens_per_step),
            },
        },
        "peers": {
            name: {
                "version": ready[name].version,
                **report(measured[name], ready[name]),
                "tokens_per_step": measure.rounded(measured[name].tokens_per_step),
                **ratios(measured, name),
            }
            for name in settings.against
        },
        "tokens": settings.max_tokens,
        "prompts": len(prompts),
        "repeat": settings.repeat,
        "prefill_tokens": PREFILL_TOKENS,
        "machine": measure.machine_facts(str(ready[PLAIN].settings["isa"]), settings.threads, probe),
    }


def interleave(
    systems: dict[str, Process],
    prompts: Sequence[list[int]],
    settings: Settings,
    probe: measure.BandwidthProbe,
    progress: measure.Progress = measure.no_progress,
) -> dict[str, Measured]:
    """Run all rounds: every prompt on all systems in turn, then the long prompt; bandwidth between."""
    long_prompt = stretched(prompts, PREFILL_TOKENS)
    measured = {name: Measured() for name in systems}
    total = settings.repeat * (len(prompts) + 1) * len(systems)
    done = 0
    probe.sample()
    for index in range(settings.repeat):
        for one in measured.values():
            one.rounds.append([])
        for number, prompt in enumerate([*prompts, long_prompt]):
            order = [*systems][index % len(systems) :] + [*systems][: index % len(systems)]
            for name in order if (index + number) % 2 == 0 else reversed(order):
                if prompt is long_prompt:
                    measured[name].prefills.append(systems[name].run(Work(prompt, 1)))
                else:
                    measured[name].rounds[-1].append(systems[name].run(Work(prompt, settings.max_tokens)))
                done += 1
                progress("comparing", done, total)
            probe.sample()
    return measured


def report(measured: Measured, ready: Any) -> dict[str, Any]:
    """Return the figures of one system."""
    return {
        "tokens_per_second": measure.rounded(measured.tokens_per_second, 2),
        "prefill_tokens_per_second": measure.rounded(measured.prefill_tokens_per_second, 1),
        "load_seconds": measure.rounded(ready.load_seconds, 3),
        "peak_memory_mb": measure.rounded(measured.peak_bytes / 1e6, 1),
        "settings": ready.settings,
    }


def ratios(measured: dict[str, Measured], name: str) -> dict[str, Any]:
    """Return how many times faster we are than a peer: medians over the rounds."""
    peer = measured[name]

    def over_rounds(ours: Measured) -> list[float]:
        return [peer.decode_seconds(i) / ours.decode_seconds(i) for i in range(len(peer.rounds))]

    plain = over_rounds(measured[PLAIN])
    prefill = [
        theirs.prefill_seconds / ours.prefill_seconds
        for theirs, ours in zip(peer.prefills, measured[PLAIN].prefills, strict=True)
    ]
    return {
        "ratio_plain": measure.rounded(median(plain)),
        "ratio_plain_range": [measure.rounded(min(plain)), measure.rounded(max(plain))],
        "ratio_mtp": measure.rounded(median(over_rounds(measured[MTP]))),
        "ratio_prefill": measure.rounded(median(prefill)),
        "same_tokens": measure.rounded(same_tokens(measured[PLAIN].rounds[0], peer.rounds[0])),
    }


def same_tokens(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    """Return the share of tokens before the first difference; it shows that the weights are the same ones."""
    same = total = 0
    for one, other in zip(ours, theirs, strict=True):
        pairs = list(zip(one.tokens, other.tokens, strict=True))
        same += next((index for index, (a, b) in enumerate(pairs) if a != b), len(pairs))
        total += len(pairs)
    return same / total


def stretched(prompts: Sequence[list[int]], length: int) -> list[int]:
    """Return the prompts one after the other, again and again, cut to `length` tokens."""
    joined = [token for prompt in prompts for token in prompt]
    return (joined * (length // len(joined) + 1))[:length]
