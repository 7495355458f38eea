"""Runs the experiments of docs/experiments.md: every objective and seed of the tasks, one line of JSON each.

    python benchmarks/experiments.py [--only NAME;...] [--seeds N]

Appends to benchmarks/results/experiments.jsonl; runs that stand there with the same settings are not made
again, so a driver that was cut off goes on. First come the runs of the first seed, then those of the second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mtp_rt import machine
from mtp_rt.bench import measure
from mtp_rt.tasks.experiment import run_seed
from mtp_rt.tasks.registry import open_task
from record import commit

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "experiments.jsonl"
SEEDS = 5

STAR: dict[str, Any] = {"labels": 20, "test": 500}
SMALL: dict[str, Any] = {"hidden_size": 32, "layers": 3, "heads": 1, "learning_rate": 4e-3, "batch": 64}
SMALL |= {"steps": 1500, "evaluate_every": 150, "enough": 0.99}
WIDE: dict[str, Any] = {"hidden_size": 64, "layers": 4, "heads": 2, "learning_rate": 2e-3, "batch": 64}
WIDE |= {"steps": 4000, "evaluate_every": 250, "enough": 0.99}
NAMES: dict[str, Any] = {"length": 64, "words": 40, "density": 0.25, "names": 2, "cast": 1500, "test": 200}
STORY: dict[str, Any] = {"hidden_size": 32, "layers": 3, "heads": 1, "learning_rate": 4e-3, "batch": 32}
STORY |= {"steps": 1000, "evaluate_every": 100}
LINEAR = {"preset": "gloeckle-linear"}


def star(objective: str, fit: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return an experiment on path-star graphs; five tokens at once with heads of one matrix each."""
    several = objective == "mtp"
    task = STAR | {"objective": objective} | ({"n": 5} if several else {})
    return "path_star", {"task": task, "fit": fit | (LINEAR if several else {})}


# What docs/experiments.md calls a run: its task, and the tables that `mtp-rt train task:NAME --set` fills.
EXPERIMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "path_star ntp": star("ntp", SMALL),
    "path_star ntp, longer": star("ntp", SMALL | {"steps": 3000}),
    "path_star reverse": star("reverse", SMALL),
    "path_star teacherless": star("teacherless", SMALL),
    "path_star mtp 5": star("mtp", SMALL),
    "path_star ntp, wider": star("ntp", WIDE),
    "path_star mtp 5, wider": star("mtp", WIDE),
    "induction n=1": ("induction", {"task": NAMES | {"n": 1}, "fit": STORY}),
    "induction n=2": ("induction", {"task": NAMES | {"n": 2}, "fit": STORY | LINEAR}),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names of experiments, with semicolons between; default: all")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = args.only.split(";") if args.only else list(EXPERIMENTS)
    if unknown := [name for name in names if name not in EXPERIMENTS]:
        parser.error(f"--only: {unknown[0]!r} is none of {', '.join(EXPERIMENTS)}")
    origin = {"cpu": machine.cpu_name(), "commit": commit()}  # as the code was when it was imported
    for name, seed in missing(names, args.seeds):
        add(name, seed, origin)
    return 0


def missing(names: list[str], seeds: int) -> Iterator[tuple[str, int]]:
    """Give the runs that the results do not hold, seed by seed."""
    done = [(line["name"], line["seed"], line["settings"]) for line in read()]
    for seed in range(seeds):
        for name in names:
            if (name, seed, EXPERIMENTS[name][1]) not in done:
                yield name, seed


def read() -> list[dict[str, Any]]:
    """Return the results so far."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    return [json.loads(line) for line in lines]


def add(name: str, seed: int, origin: dict[str, str]) -> None:
    """Make one run and append its line."""
    task_name, settings = EXPERIMENTS[name]
    task, fit = open_task(task_name, settings)

    def tell(seed: int, step: int, scores: dict[str, float]) -> None:
        said = ", ".join(f"{what} {share:.3f}" for what, share in scores.items())
        print(f"{name}, seed {seed}, step {step}: {said}", file=sys.stderr, flush=True)

    result = run_seed(task, fit, seed, tell)
    about = {"name": name, "task": task_name, "settings": settings}
    line = about | result | {"date": measure.today()} | origin
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    sys.exit(main())
