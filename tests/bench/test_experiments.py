"""The driver of the experiments goes on where it was; docs/experiments.md is what its results give."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")
TASK = {"length": 3, "labels": 12, "train": 20, "test": 5, "n": 2}
FIT = {"hidden_size": 32, "layers": 2, "heads": 1, "batch": 2, "steps": 3, "evaluate_every": 2}
TINY = {
    "path_star ntp": ("path_star", {"task": TASK, "fit": FIT}),
    "path_star mtp 2": ("path_star", {"task": TASK | {"objective": "mtp"}, "fit": FIT}),
}


def run(driver: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[tuple[str, int]]:
    monkeypatch.setattr(sys, "argv", ["experiments.py", *arguments])
    assert driver.main() == 0
    return [(line["name"], line["seed"]) for line in driver.read()]


def test_finished_runs_are_not_made_again(
    benchmark_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = benchmark_script("experiments")
    monkeypatch.setattr(driver, "RESULTS", tmp_path / "results.jsonl")
    monkeypatch.setattr(driver, "EXPERIMENTS", TINY)
    assert run(driver, monkeypatch, "--seeds", "1", "--only", "path_star mtp 2") == [("path_star mtp 2", 0)]
    first = (tmp_path / "results.jsonl").read_text()
    made = run(driver, monkeypatch, "--seeds", "2")
    assert made[1:] == [("path_star ntp", 0), ("path_star ntp", 1), ("path_star mtp 2", 1)]
    assert (tmp_path / "results.jsonl").read_text().startswith(first)
    line = json.loads(first)
    assert line["step"] == 3 and [point["step"] for point in line["curve"]] == [2, 3]
    assert line["path"] == line["curve"][-1]["path"]
    other = {"path_star ntp": ("path_star", {"task": TASK, "fit": FIT | {"steps": 2}})}
    monkeypatch.setattr(driver, "EXPERIMENTS", other)
    assert len(run(driver, monkeypatch, "--seeds", "1")) == len(made) + 1


def test_the_page_shows_the_committed_results(benchmark_script: Callable[[str], ModuleType]) -> None:
    """Oracle: the page made anew; figures of code that no commit holds have no place there."""
    report = benchmark_script("experiments_report")
    lines = report.current()
    assert report.PAGE.read_text(encoding="utf-8") == report.page(lines)
    assert all("local changes" not in line["commit"] and line["date"] and line["cpu"] for line in lines)


def test_of_an_arm_everything_is_shared(benchmark_script: Callable[[str], ModuleType]) -> None:
    """Oracle: one bit, the arm, and the node behind it follows; of a name, H(X) is H(X|Y) + I(X;Y)."""
    parts = benchmark_script("experiments_report").decompositions()
    arm, name = parts["path_star, the arm"], parts["induction, a name"]
    assert (arm.x_given_y, arm.shared, arm.y_given_x) == pytest.approx((0, 1, 0), abs=1e-9)
    assert name.x_given_y + name.shared == pytest.approx(name.first)
    assert 1 < name.shared < min(name.first, name.second)
