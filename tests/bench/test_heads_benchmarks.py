"""The benchmarks of extra heads on the tiny model, whose heads are drawn at random."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtp_rt import SamplingParams, _core
from mtp_rt.bench import acceptance, steps, teacher_forced
from mtp_rt.bench.feeding import feed
from mtp_rt.bench.prompts import Item
from mtp_rt.request import native_sampling
from tiny_model.heads import PRESETS, write_with_heads

PROMPTS = [[5, 9, 40, 41, 5, 9, 40], [300, 12, 7], [77, 78, 79, 77, 78]]
DEPTH = 3


@pytest.fixture(scope="module")
def recurrent(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "recurrent"
    write_with_heads(PRESETS["recurrent"], tiny_model, folder)
    return folder


def drafts_behind(
    engine: _core.Engine, text: list[int], token: int, settings: acceptance.Settings, index: int
) -> list[int]:
    """Return what the heads draft behind `text` and `token` for prompt `index`, in a slot filled anew."""
    sampling = native_sampling(settings.params, seed=settings.seed_of(index))
    feed(engine, 0, text)
    drafts, _ = engine.draft([0], [token], [DEPTH], [1], [sampling])
    engine.release(0)
    return [int(draft) for draft in drafts]


def test_teacher_forced_drafts_are_those_of_a_slot_filled_anew(recurrent: Path) -> None:
    """Oracle: for each position a slot that holds the text up to it, and one draft."""
    params = SamplingParams(temperature=0.8, seed=3)
    settings = acceptance.Settings(params, DEPTH, "heads")
    items = [Item("all", prompt) for prompt in PROMPTS]
    engine = _core.Engine(str(recurrent), slots=2, context=64, threads=1)
    answers = [[40, *drafts_behind(engine, PROMPTS[0], 40, settings, 0), 5, 9], [8], [77, 78, 79, 77]]
    found = teacher_forced.run(engine, items, answers, settings)
    seen, stood = [0] * DEPTH, [0] * DEPTH
    for index, (prompt, answer) in enumerate(zip(PROMPTS, answers, strict=True)):
        for place, token in enumerate(answer):
            drafts = drafts_behind(engine, [*prompt, *answer[:place]], token, settings, index)
            for k in range(min(DEPTH, len(answer) - place - 1)):
                seen[k] += 1
                stood[k] += drafts[: k + 1] == answer[place + 1 : place + 2 + k]
    assert stood[DEPTH - 1] > 0
    assert found["positions"] == seen[0]
    assert found["cumulative"] == [round(s / n, 4) for s, n in zip(stood, seen, strict=True)]


def test_bench_steps_times_every_depth(recurrent: Path) -> None:
    engine = _core.Engine(str(recurrent), context=64, threads=1)
    result = steps.run(engine, steps.Settings((1, 2), (16,), 1))
    assert list(result["draft_ms"]) == ["1", "2", "3", "4"]
    assert all(ms > 0 for ms in result["draft_ms"].values())
