"""The cost curve's cache: measured once for each model and machine, again when it cannot be trusted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mtp_rt import _core, costs
from mtp_rt import _core_testing as native
from mtp_rt.costs import StepCosts

CURVE = [1.0 + 0.25 * rows for rows in range(16)]
COSTS = StepCosts(CURVE, [])


class Measuring:
    """Stands for the measurement and counts how often it is asked; `next` is what it says first."""

    def __init__(self) -> None:
        self.count = 0
        self.next: list[list[float]] = []

    def __call__(self, engine: _core.Engine, max_width: int) -> list[float]:
        assert max_width == len(CURVE)
        self.count += 1
        return self.next.pop(0) if self.next else CURVE


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    measuring = Measuring()
    monkeypatch.setattr(costs._core, "measure_costs", measuring, raising=False)
    return measuring


@pytest.fixture
def ask(tiny_model: Path, tmp_path: Path) -> Callable[..., StepCosts]:
    def run(model: Path = tiny_model, threads: int = 1, isa: str = "") -> StepCosts:
        engine = _core.Engine(str(model), threads=threads, isa=isa)
        return costs.step_costs(engine, model, tmp_path / "cache")

    return run


def test_a_curve_is_measured_once(measuring: Measuring, ask: Callable[..., StepCosts]) -> None:
    assert [ask(), ask()] == [COSTS, COSTS]
    assert measuring.count == 1


def test_devices_have_curves_of_their_own(
    measuring: Measuring, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs._core, "measure_draft_costs", lambda engine, slots: [])
    engine = _core.Engine(str(tiny_model), threads=1)
    facts = {name: getattr(engine.info, name) for name in ("name", "isa", "threads", "slots", "extra_heads")}
    for device in ("cpu", "cuda", "cpu"):
        info = SimpleNamespace(**facts, device=device)
        costs.step_costs(SimpleNamespace(info=info), tiny_model, tmp_path / "cache")  # type: ignore[arg-type]
    assert measuring.count == 2


def test_threads_isa_and_model_have_curves_of_their_own(
    measuring: Measuring, ask: Callable[..., StepCosts], tiny_model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    config = json.loads((other / "config.json").read_text())
    config["mtp_rt"]["two_stage_head"] = None
    (other / "config.json").write_text(json.dumps(config))
    for _ in range(2):
        ask()
        ask(threads=2)
        ask(isa="generic")
        ask(other)
    assert measuring.count == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[" * 100_000,
        lambda text: text.replace("1.25", "NaN"),
        lambda text: text.replace("1.25", "-1.0"),
        lambda text: text.replace("1.25,", ""),
        lambda text: text.replace('"threads": 1', '"threads": 7'),
        lambda text: "[1]",
    ],
    ids=["cut", "empty", "deep", "nan", "negative", "short", "foreign", "list"],
)
def test_a_file_that_cannot_be_trusted_is_measured_again(
    measuring: Measuring, ask: Callable[..., StepCosts], tmp_path: Path, damage: Callable[[str], str]
) -> None:
    ask()
    (path,) = (tmp_path / "cache" / "costs").iterdir()
    path.write_text(damage(path.read_text()))
    assert [ask(), ask()] == [COSTS, COSTS]
    assert measuring.count == 2


def test_a_cache_that_cannot_be_written_is_no_error(
    measuring: Measuring, ask: Callable[..., StepCosts], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert [ask(), ask()] == [COSTS, COSTS]
    assert measuring.count == 2


def test_nothing_but_the_curve_stays_behind(
    measuring: Measuring, ask: Callable[..., StepCosts], tmp_path: Path
) -> None:
    ask()
    assert [path.suffix for path in (tmp_path / "cache" / "costs").iterdir()] == [".json"]


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_draft_calls_are_measured_where_there_are_heads(
    measuring: Measuring, tiny_model: Path, tmp_path: Path, slots: int
) -> None:
    def ask() -> StepCosts:
        fake = native.FakeEngine(slots=slots, extra_heads=2)
        return costs.step_costs(fake, tiny_model, tmp_path / "cache")

    first = ask()
    assert first.verify_ms == CURVE
    assert len(first.draft_ms) == min(slots, 8)
    assert ask() == first
    (path,) = (tmp_path / "cache" / "costs").iterdir()
    entry = json.loads(path.read_text())
    path.write_text(json.dumps(entry | {"draft_ms": entry["draft_ms"][:-1]}))
    ask()
    assert measuring.count == 2


def test_a_disturbed_measurement_is_repeated_and_the_shorter_times_stay(
    measuring: Measuring, ask: Callable[..., StepCosts]
) -> None:
    measuring.next = [[9.0, *CURVE[1:]]]
    assert [ask(), ask()] == [COSTS, COSTS]
    assert measuring.count == 2


def test_a_curve_that_stays_disturbed_serves_once(
    measuring: Measuring, ask: Callable[..., StepCosts]
) -> None:
    measuring.next = [[9.0, *CURVE[1:]], [8.0, *CURVE[1:]]]
    assert ask() == StepCosts([8.0, *CURVE[1:]], [])
    assert [ask(), ask()] == [COSTS, COSTS]
    assert measuring.count == 3


def test_small_steps_down_are_noise(measuring: Measuring, ask: Callable[..., StepCosts]) -> None:
    measuring.next = [[CURVE[1] / 0.95, *CURVE[1:]]]
    ask()
    ask()
    assert measuring.count == 1
