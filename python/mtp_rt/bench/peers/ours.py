"""mtp-rt itself, held to the rules of the peers: its own process, the same tokens in, the same clock."""

from __future__ import annotations

from pathlib import Path

from mtp_rt import _core, engines, hub
from mtp_rt.bench import session
from mtp_rt.bench.peers.protocol import Run, Setup
from mtp_rt.costs import open_scheduler
from mtp_rt.request import Drafts, draft_options


def prepare(model: str) -> str:
    """Return the model directory: it is our form of the model."""
    return model


def version() -> str:
    """Return the version of the native runtime."""
    return _core.version()


def load(setup: Setup) -> tuple[OurSystem, dict[str, object]]:
    """Return the loaded engine with its loop, and the settings."""
    engine = engines.open_engine(
        Path(setup.path),
        setup.engine,
        provider=setup.provider,
        isa=None,
        threads=setup.threads,
        context=setup.context,
    )
    settings = {
        "engine": engine.info.name,
        "device": engine.info.device,
        "isa": engine.info.isa,
        "threads": engine.info.threads,
        "drafts": setup.drafts,
    }
    scheduler = open_scheduler(engine, Path(setup.path), hub.cache_root())
    return OurSystem(scheduler, setup.drafts), settings


class OurSystem:
    """One scheduler with its engine."""

    def __init__(self, scheduler: _core.Scheduler, drafts: Drafts) -> None:
        self._scheduler = scheduler
        self._drafts = draft_options(drafts, "auto")

    def run(self, prompt: list[int], max_tokens: int) -> Run:
        """Decode greedily; without stop tokens nothing ends the text early."""
        sampling = _core.SamplingParams()
        request = _core.Request(prompt, sampling, max_tokens=max_tokens, drafts=self._drafts)
        group = session.decode(self._scheduler, [request])
        done = group.requests[0]
        return Run(done.tokens, group.prefill_seconds, group.decode_seconds, done.steps)
