"""Writes docs/experiments.md and its pictures from benchmarks/results/experiments.jsonl.

    python benchmarks/experiments_report.py

The runs themselves: python benchmarks/experiments.py.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import experiments
import experiments_plots
from mtp_rt.models.information import Decomposition, entropies
from mtp_rt.tasks.induction import Induction, InductionConfig
from report_sections import table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "experiments.md"
TEXT = ROOT / "benchmarks" / "experiments_text.md"
CURVES = {"path_star": ("path", 0.5), "induction": ("seen", None)}

Line = dict[str, Any]


def main() -> int:
    lines = current()
    PAGE.write_text(page(lines), encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is None:
        print("matplotlib is not installed: the pictures stay as they are", file=sys.stderr)
        return 0
    for task, (score, chance) in CURVES.items():
        if not (shown := [line for line in lines if line["task"] == task]):
            continue
        experiments_plots.curves(shown, score, chance, PAGE.parent / f"{task}.svg")
    experiments_plots.information(decompositions(), PAGE.parent / "information.svg")
    return 0


def current() -> list[Line]:
    """Return the results whose settings are those of the experiments, in their order, seed by seed."""
    wanted = {name: settings for name, (_, settings) in experiments.EXPERIMENTS.items()}
    kept = [line for line in experiments.read() if wanted.get(line["name"]) == line["settings"]]
    return sorted(kept, key=lambda line: (list(wanted).index(line["name"]), line["seed"]))


def page(lines: Sequence[Line]) -> str:
    """Return the text of docs/experiments.md."""
    text = TEXT.read_text(encoding="utf-8")
    for task in CURVES:
        shown = [line for line in lines if line["task"] == task]
        parts = [provenance(shown), results(shown)] if shown else []
        text = text.replace(f"{{{task}}}", "\n\n".join([*parts, *not_run(task, shown)]).strip())
    return text.replace("{information}", shares(decompositions()).strip())


def not_run(task: str, lines: Sequence[Line]) -> list[str]:
    """Return the sentence that names the experiments without a result."""
    names = [name for name, (of, _) in experiments.EXPERIMENTS.items() if of == task]
    missing = [name for name in names if name not in {line["name"] for line in lines}]
    named = ", ".join(f"`{name.split(' ', 1)[1]}`" for name in missing)
    return [f"Not run yet: {named}."] if missing else []


def provenance(lines: Sequence[Line]) -> str:
    """Return the line that says how the results came about."""
    dates = sorted({line["date"][:10] for line in lines})
    commits = sorted({line["commit"] for line in lines})
    cpus = sorted({line["cpu"] for line in lines})
    where = f"{', '.join(cpus)}, one thread, {' .. '.join(dict.fromkeys((dates[0], dates[-1])))}"
    return f"`python benchmarks/experiments.py` - {where}, commit {', '.join(commits)}."


def results(lines: Sequence[Line]) -> str:
    """Return the table: of every experiment the scores of all its seeds."""
    rows = []
    for name in dict.fromkeys(line["name"] for line in lines):
        own = [line for line in lines if line["name"] == name]
        cells = [" ".join(f"{100 * line[score]:.1f}" for line in own) for score in scores(own[0])]
        steps = " ".join(str(line["step"]) for line in own)
        seconds = f"{mean(line['cpu_seconds'] for line in own):.0f}"
        rows.append([f"`{name.split(' ', 1)[1]}`", len(own), own[0]["parameters"], *cells, steps, seconds])
    named = [f"{score} %, by seed" for score in scores(lines[0])]
    return table(["", "seeds", "parameters", *named, "steps", "CPU s a seed"], rows).strip()


def scores(line: Line) -> list[str]:
    """Return the names of a result's scores."""
    return [name for name in line["curve"][0] if name not in {"step", "loss"}]


def decompositions() -> dict[str, Decomposition]:
    """Return what two tokens share in three kinds of text, exactly."""
    arm = np.eye(2) / 2  # either arm, and then the node behind it: for who does not plan
    task = Induction(InductionConfig(test=1))
    firsts, seconds = task.config.firsts, task.config.seconds
    names = np.zeros((firsts, seconds))
    names[task.cast // seconds, task.cast % seconds] = 1 / len(task.cast)
    letters = np.frombuffer((ROOT / "LICENSE").read_bytes(), np.uint8)
    pairs = np.zeros((256, 256))
    np.add.at(pairs, (letters[:-1], letters[1:]), 1 / (len(letters) - 1))
    return {
        "path_star, the arm": entropies(arm),
        "induction, a name": entropies(names),
        "English, two bytes": entropies(pairs),
    }


def shares(parts: dict[str, Decomposition]) -> str:
    """Return the table of the decompositions, in bits."""
    rows = []
    for kind, part in parts.items():
        bits = [abs(round(value, 9)) for value in (part.x_given_y, part.shared, part.y_given_x)]
        total = sum(bits)
        share = (part.shared / total, 2 * part.shared / (total + part.shared))
        rows.append([kind, *(f"{value:.2f}" for value in bits), *(f"{value:.0%}" for value in share)])
    header = ["X and Y", "H(X\\|Y)", "I(X;Y)", "H(Y\\|X)", "share of I, next token", "share of I, two tokens"]
    return table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
