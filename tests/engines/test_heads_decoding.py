"""The loop drafts with an engine's own heads: the same text, and every draft asked for at its right place.

Oracles: `plain_text`, and a walk over the finished text that asks the engine for the drafts of each step.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance import cases, prompts
from decoding import Case, decode, plain_text
from drafting import Model
from driving import feed

from mtp_rt._core import Engine, SamplingParams, Scheduler, Stats

PRESETS = ["recurrent", "hydra", "medusa", "gloeckle-linear"]
presets = pytest.mark.parametrize("preset", PRESETS)
GREEDY = {"temperature": 0.0}
WARM = {"temperature": 0.8, "seed": 3, "top_p": 0.9}
HOT = {"temperature": 100.0, "seed": 4}  # the noise decides, and heads drawn at random share it


@presets
def test_heads_change_no_token(preset: str, tiny_model: Path, tiny_with_heads: Model) -> None:
    """Greedy and sampled with every filter, in batches, chains and trees, alone and adaptive."""
    engine = Engine(str(tiny_with_heads(preset)), threads=1, slots=4)
    chosen = list(cases(tiny_model, seeds=1, temperatures=[0.7], max_tokens=32))
    texts = [plain_text(engine, case) for case in chosen]
    for drafts in (1, 2, 15):
        for width in (1, 2, 8):
            requests = [case.request("heads", drafts, width=width) for case in chosen]
            assert decode(engine, requests) == texts
    costs = {"verify_ms": [1.0, 1.01, 1.02, 1.03], "draft_ms": [0.01]}
    for source in ("heads", "auto"):
        requests = [case.request(source, 7, adaptive=True) for case in chosen]
        assert decode(engine, requests, prefill_chunk=5, **costs) == texts


@presets
@pytest.mark.parametrize("sampling", [GREEDY, WARM, HOT], ids=["greedy", "warm", "hot"])
def test_accepted_drafts_are_those_of_the_finished_text(
    preset: str, sampling: dict[str, float], tiny_model: Path, tiny_with_heads: Model
) -> None:
    engine = Engine(str(tiny_with_heads(preset)), threads=1)
    accepted = 0
    for ids in prompts(tiny_model)[:6]:
        case = Case(ids, sampling, max_tokens=64)
        text = plain_text(engine, case)
        for drafts in (1, 3):
            stats = stats_of(engine, case, drafts)
            assert (stats.steps, stats.accepted_per_position) == walk(engine, case, text, drafts)
            accepted += sum(stats.accepted_per_position)
    assert accepted > 100 or sampling != HOT


def stats_of(engine: Engine, case: Case, drafts: int) -> Stats:
    scheduler = Scheduler(engine)
    scheduler.submit(case.request("heads", drafts))
    while True:
        for event in scheduler.run_once():
            assert event.error is None
            if event.stats:
                return event.stats


def walk(engine: Engine, case: Case, text: list[int], drafts: int) -> tuple[int, list[int]]:
    """Return the steps that a text takes with this many drafts a step, and how often draft k stood."""
    params = SamplingParams(**case.sampling)
    depths = min(drafts, engine.info.extra_heads)
    stood = [0] * depths
    steps, known = 0, 1
    feed(engine, 0, case.prompt)
    while known < len(text):
        count = min(depths, len(text) - known - 1)
        right = 0
        if count > 0:
            tokens, _ = engine.draft([0], [text[known - 1]], [count], [1], [params])
            while right < count and tokens[right] == text[known + right]:
                stood[right] += 1
                right += 1
        feed(engine, 0, text[known - 1 : known + right])
        known += right + 1
        steps += 1
    engine.release(0)
    return steps, stood
