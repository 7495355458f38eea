"""Writes docs/benchmarks.md from benchmarks/results/*.json: the newest of each benchmark and processor.

    python benchmarks/report.py

Draws the pictures beside it where matplotlib is installed.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import report_plots
from report_sections import SECTIONS, Entry

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
KEYS = ROOT / "benchmarks" / "report_keys.md"
BY_SOURCE = "Tokens per step and speed-up by source"
PLOTS = {
    "steps": ("verify_by_width.svg", "Time of a verify call by its rows", report_plots.verify_by_width),
    "decode": ("decode_by_source.svg", BY_SOURCE, report_plots.by_source),
    "mtp_bench": ("mtp_bench_by_source.svg", BY_SOURCE, report_plots.by_source),
}

INTRODUCTION = """\
# Benchmarks

Made by `python benchmarks/report.py` from the files in `benchmarks/results`; do not edit. Each figure
stands under its command, processor, date, commit and the streaming-read bandwidth measured during the run
(median, lowest .. highest). Cloud machines change that bandwidth within minutes, and at one token per step it
is the speed limit: compare figures of one run, not of two.

Systems and modes take turns, prompt by prompt, so that all meet the same machine; times are medians over the
rounds and ratios are medians of the ratios within each round. Rates are of decoding alone. Every peer runs in
a process of its own, with the same number of threads, one prompt at a time, greedy, end token ignored, and
waits in a blocking read while others run. `benchmarks/run_all.sh` repeats everything.
"""


def main() -> int:
    entries = newest()
    PAGE.write_text(page(entries), encoding="utf-8")
    plot(entries)
    return 0


def newest() -> list[Entry]:
    """Return the newest result of each benchmark and processor."""
    found: dict[tuple[str, str], Entry] = {}
    for path in sorted(RESULTS.glob("*.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        found[entry["name"], entry["cpu"]] = entry
    return list(found.values())


def page(entries: Sequence[Entry]) -> str:
    """Return the text of docs/benchmarks.md."""
    parts = [INTRODUCTION]
    for name, (title, section) in SECTIONS.items():
        shown = [entry for entry in entries if entry["name"] == name]
        if shown:
            parts.append(f"## {title}\n")
            parts += [provenance(entry) + "\n\n" + section(entry["result"]) for entry in shown]
        if shown and name in PLOTS:
            file, caption, _ = PLOTS[name]
            parts.append(f"![{caption}]({file})\n")
    parts.append(KEYS.read_text(encoding="utf-8"))
    return "\n".join(parts)


def provenance(entry: Entry) -> str:
    """Return the line that says how a result came about."""
    machine = entry["result"].get("machine")
    bandwidth = ""
    if machine and "read_bandwidth_gb_s" in machine:
        low, high = machine["read_bandwidth_range_gb_s"]
        bandwidth = (
            f", {machine['isa']}, {machine['threads']} threads, "
            f"{machine['read_bandwidth_gb_s']:.0f} GB/s ({low:.0f} .. {high:.0f})"
        )
    note = f" {entry['note']}" if "note" in entry else ""
    where = f"{entry['cpu']}{bandwidth}, {entry['date'][:10]}, commit {entry['commit']}."
    return f"`{entry['command']}` - {where}{note}"


def plot(entries: Sequence[Entry]) -> None:
    """Draw the pictures; they stay as they are without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        print("matplotlib is not installed: the pictures stay as they are", file=sys.stderr)
        return
    for name, (file, _, draw) in PLOTS.items():
        shown = [entry for entry in entries if entry["name"] == name]
        if shown:
            draw(shown, PAGE.parent / file)


if __name__ == "__main__":
    sys.exit(main())
