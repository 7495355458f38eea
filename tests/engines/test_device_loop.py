"""An engine that runs whole steps on its device: who drafts there, who is left to the host, and who is told.

The device is the tests' own: plans run in plain onnxruntime, kernels' bodies on the host. Oracle: the same
plans without the loop, stepped on the host. Texts of many kinds are in test_conformance.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from decoding import Case, decode
from drafting import TEXT
from driving import chain, verify
from mtp_rt._core_testing import in_loop

from mtp_rt import _core_testing
from mtp_rt._core import DraftOptions, Engine, Request, SamplingParams, Scheduler, Stats
from mtp_rt.errors import ArgumentError, EngineError

pytest.importorskip("onnxruntime")
plan_device = pytest.importorskip("plan_device")

PRESETS = ["recurrent", "tapped", "hydra", "medusa", "gloeckle"]
SEQUENTIAL = {"temperature": 0.8, "seed": 3, "top_p": 0.9}


@pytest.fixture(scope="module")
def planned(
    tmp_path_factory: pytest.TempPathFactory, exported_f32_heads: Callable[..., Path]
) -> Callable[[str], Path]:
    """Return a function: preset -> the tiny model in f32 with such heads and plans."""
    written: dict[str, Path] = {}

    def get(preset: str) -> Path:
        if preset not in written:
            written[preset] = tmp_path_factory.mktemp("looped") / preset
            plan_device.write_plans(exported_f32_heads(preset), written[preset], [128])
        return written[preset]

    return get


def run_together(
    engine: Engine, requests: Sequence[Request], **options: Any
) -> list[tuple[list[int], Stats]]:
    """Return the texts and counters of requests that all start together."""
    scheduler = Scheduler(engine, **options)
    texts: dict[int, list[int]] = {scheduler.submit(request): [] for request in requests}
    stats: dict[int, Stats] = {}
    while len(stats) < len(texts):
        for event in scheduler.run_once():
            assert event.error is None, event.error
            texts[event.request] += event.tokens
            if event.stats is not None:
                stats[event.request] = event.stats
    return [(text, stats[number]) for number, text in texts.items()]


def run(engine: Engine, request: Request, **options: Any) -> tuple[list[int], Stats]:
    """Return a request's text and counters."""
    return run_together(engine, [request], **options)[0]


def steps(engine: Engine, request: Request, count: int) -> Scheduler:
    """Return a scheduler that has run `count` steps of a request."""
    scheduler = Scheduler(engine)
    scheduler.submit(request)
    for _ in range(count):
        scheduler.run_once()
    return scheduler


@pytest.mark.parametrize("sampling", [{}, SEQUENTIAL], ids=["greedy", "sampled"])
@pytest.mark.parametrize("preset", PRESETS)
def test_heads_draft_in_the_loop_what_they_draft_on_the_host(
    preset: str, sampling: dict[str, Any], planned: Callable[[str], Path]
) -> None:
    """The same drafts stand at the same depths: equal counters, not only equal texts."""
    folder = planned(preset)
    looped, stepped = plan_device.open_plans(folder, loop=True), plan_device.open_plans(folder)
    case = Case(TEXT, sampling, max_tokens=60)
    (text, stats), (expected, wanted) = (
        run(engine, case.request("heads", looped.info.extra_heads)) for engine in (looped, stepped)
    )
    assert text == expected
    assert stats.drafted_per_position == wanted.drafted_per_position
    assert stats.accepted_per_position == wanted.accepted_per_position
    assert stats.steps == wanted.steps
    assert stats.drafted_by_source.keys() == {"heads"}


@pytest.mark.parametrize("preset", ["recurrent", "medusa"])
def test_neighbouring_slots_share_calls_and_keep_their_texts(
    preset: str, planned: Callable[[str], Path]
) -> None:
    """Oracle: each request alone. Prompts, drafts and endings differ; the plans take two sequences."""
    folder = planned(preset)
    requests = [
        Case(TEXT[first:], sampling, 20 + 9 * first).request("heads", drafts)
        for first, drafts, sampling in [(0, 4, {}), (1, 1, SEQUENTIAL), (2, 3, {}), (3, 2, SEQUENTIAL)]
    ]
    alone = [run(plan_device.open_plans(folder, loop=True), request) for request in requests]
    device = plan_device.PlanDevice(folder)
    engine = _core_testing.open_plans(device, str(folder), slots=3, loop=True)
    for (text, stats), (expected, wanted) in zip(run_together(engine, requests), alone, strict=True):
        assert text == expected
        assert stats.drafted_per_position == wanted.drafted_per_position
        assert stats.accepted_per_position == wanted.accepted_per_position
    for file in ("verify.128.engine", "draft.engine"):
        sizes = [call["batch"] for call in device.plans[file].calls]
        assert max(sizes) == 2
        assert sizes.count(2) > len(sizes) / 4


@pytest.mark.parametrize("preset", ["recurrent", "medusa"])
def test_adaptive_drafts_change_no_token(preset: str, planned: Callable[[str], Path]) -> None:
    """Where drafts pay they are made, where they cost too much they are not."""
    folder = planned(preset)
    plain = decode(plan_device.open_plans(folder), [Case(TEXT, {}, 60).request()])[0]
    cheap = {"verify_ms": [1.0, 1.01, 1.02, 1.03, 1.04], "draft_ms": [0.01]}
    dear = {"verify_ms": [1.0, 9.0, 17.0, 25.0, 33.0], "draft_ms": [5.0]}
    request = Case(TEXT, {}, 60).request("heads", 4, adaptive=True)
    text, many = run(plan_device.open_plans(folder, loop=True), request, **cheap)
    assert text == plain
    text, few = run(plan_device.open_plans(folder, loop=True), request, **dear)
    assert text == plain
    assert sum(few.drafted_per_position) < sum(many.drafted_per_position) / 4


def test_a_sequence_enters_behind_its_first_token_and_leaves_with_its_end(
    planned: Callable[[str], Path],
) -> None:
    engine = plan_device.open_plans(planned("recurrent"), loop=True, slots=2)
    request = Case(TEXT, {}, max_tokens=30).request("heads", 2)
    scheduler = steps(engine, request, 1)
    slot = next(slot for slot in range(2) if engine.length(slot) > 0)
    assert not in_loop(engine, slot)
    scheduler.run_once()
    assert in_loop(engine, slot)
    length = engine.length(slot)
    scheduler.run_once()
    assert engine.length(slot) > length
    with pytest.raises(ArgumentError, match=rf"slot {slot} runs in the device's loop; release it first"):
        verify(engine, chain(engine, slot, [1]), taps=[])
    while scheduler.running:
        scheduler.run_once()
    assert not in_loop(engine, slot)
    assert engine.length(slot) == 0


@pytest.mark.parametrize(
    "changes",
    [{"logprobs": 2}, {"stop_token_ids": range(33), "min_tokens": 20}],
    ids=["logprobs", "more stop tokens than it holds"],
)
def test_what_the_loop_cannot_hold_is_stepped_on_the_host(
    changes: dict[str, Any], planned: Callable[[str], Path]
) -> None:
    drafts = DraftOptions(source="heads", max_drafts=2, adaptive=False)
    request = Request(TEXT, SamplingParams(), max_tokens=20, drafts=drafts, **changes)
    looped, stepped = (plan_device.open_plans(planned("recurrent"), loop=loop) for loop in (True, False))
    scheduler = steps(looped, request, 3)
    assert looped.length(0) > len(TEXT)
    assert not in_loop(looped, 0)
    del scheduler
    assert run(looped, request)[0] == run(stepped, request)[0]


def test_the_loop_can_be_left_out(planned: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = planned("recurrent")
    monkeypatch.setenv("MTP_RT_DEVICE_LOOP", "0")
    with pytest.raises(RuntimeError, match="no loop"):
        in_loop(plan_device.open_plans(folder, loop=True), 0)
    monkeypatch.setenv("MTP_RT_DEVICE_LOOP", "off")
    with pytest.raises(ArgumentError, match="MTP_RT_DEVICE_LOOP is 'off'; 0 steps on the host, 1 on the dev"):
        plan_device.open_plans(folder, loop=True)


def test_heads_that_attend_are_left_to_the_host(planned: Callable[[str], Path]) -> None:
    engine = plan_device.open_plans(planned("fastmtp"), loop=True)
    with pytest.raises(RuntimeError, match="no loop"):
        in_loop(engine, 0)
    text, stats = run(engine, Case(TEXT, {}, 30).request("heads", 2))
    assert len(text) == 30
    assert stats.drafted_by_source["heads"] > 0


def test_a_step_that_fails_ends_its_sequences_and_no_others(planned: Callable[[str], Path]) -> None:
    folder = planned("recurrent")
    device = plan_device.PlanDevice(folder)
    engine = _core_testing.open_plans(device, str(folder), slots=2, loop=True)
    request = Case(TEXT, {}, max_tokens=30).request("heads", 2)
    expected, _ = run(engine, request)
    plan, works = device.plans["draft.engine"], device.plans["draft.engine"].run

    def fail(*_: Any) -> None:
        raise EngineError("draft.engine: CUDA: the GPU has gone")

    scheduler = steps(engine, request, 3)
    plan.run = fail
    (event,) = scheduler.run_once()
    assert event.finish_reason == "error"
    assert "the GPU has gone" in event.error
    assert not in_loop(engine, 0)
    plan.run = works
    assert run(engine, request)[0] == expected


def test_a_row_that_is_not_a_number_ends_its_sequence(planned: Callable[[str], Path]) -> None:
    folder = planned("recurrent")
    device = plan_device.PlanDevice(folder)
    engine = _core_testing.open_plans(device, str(folder), loop=True)
    request = Case(TEXT, {}, max_tokens=30).request("heads", 2)
    scheduler = steps(engine, request, 3)
    plan, works = device.plans["verify.128.engine"], device.plans["verify.128.engine"].run

    def break_rows(profile: int, inputs: Any, wanted: list[str], *rest: Any) -> list[bytes]:
        made: list[bytes] = works(profile, inputs, wanted, *rest)
        return [
            b"\xff" * len(part) if name == "logits" else part for name, part in zip(wanted, made, strict=True)
        ]

    plan.run = break_rows
    (event,) = scheduler.run_once()
    assert event.finish_reason == "error"
    assert "NaN" in event.error
    plan.run = works
    assert len(run(engine, request)[0]) == 30
