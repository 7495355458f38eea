"""`mtp-rt train task:NAME`: results by seed, kept from one call to the next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Command

FIT = "fit.hidden_size=32 fit.layers=2 fit.heads=1 fit.steps=3 fit.batch=4 fit.evaluate_every=2 fit.threads=1"
SMALL = {
    "path_star": "task.length=3 task.objective=mtp task.n=2 task.train=20 task.test=5",
    "induction": "task.length=32 task.test=5",
}


def arguments(name: str, *changes: str) -> list[str]:
    given = [*FIT.split(), *SMALL[name].split(), *changes]
    return [
        f"task:{name}",
        *(part for change in given for part in ("--set", change)),
        "--out",
        "run",
        "--json",
    ]


@pytest.mark.parametrize("name", SMALL)
def test_seeds_that_are_done_are_kept(
    command: Command, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = command("train", *arguments(name, "fit.seeds=1")).json
    assert [point["step"] for point in first["seeds"][0]["curve"]] == [2, 3]
    more = command("train", *arguments(name, "fit.seeds=2"), "--resume").json
    assert more["seeds"][0] == first["seeds"][0]
    assert [seed["seed"] for seed in more["seeds"]] == [0, 1]
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == more
    fresh = command("train", *arguments(name, "fit.seeds=2"), "--out", "other").json
    assert fresh["seeds"] == more["seeds"]
    refused = command("train", *arguments(name, "fit.steps=4"), "--resume")
    assert refused.status == 1 and "other settings" in refused.stderr


BAD = [
    (["task:stars"], "task:stars: no such task; known: path_star, induction"),
    (
        ["task:path_star", "--set", "task.arm=3"],
        "task:path_star: task.arm: no such field; did you mean arms?",
    ),
    (["task:path_star", "--set", "training.steps=3"], "training: no such table; known: task, fit"),
    (["task:induction", "--set", "fit.layers=1"], "fit.layers: 1 are not enough for 1 heads"),
]


@pytest.mark.parametrize(("given", "says"), BAD)
def test_bad_input_gets_one_message(
    command: Command, given: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("train", *given)
    assert done.status == 1 and says in done.stderr and "Traceback" not in done.stderr
