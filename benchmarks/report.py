"""Writes docs/benchmarks.md from benchmarks/results/*.json: the newest of each benchmark and processor.

    python benchmarks/report.py

Draws docs/verify_by_width.svg where matplotlib is installed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from report_sections import SECTIONS, Entry

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
KEYS = ROOT / "benchmarks" / "report_keys.md"
PLOT = ROOT / "docs" / "verify_by_width.svg"

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
    plot([entry for entry in entries if entry["name"] == "steps"])
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
        if shown and name == "steps":
            parts.append(f"![Time of a verify call by its rows]({PLOT.name})\n")
    parts.append(KEYS.read_text(encoding="utf-8"))
    return "\n".join(parts)


def provenance(entry: Entry) -> str:
    """Return the line that says how a result came about."""
    machine = entry["result"].get("machine")
    bandwidth = ""
    if machine:
        low, high = machine["read_bandwidth_range_gb_s"]
        bandwidth = (
            f", {machine['isa']}, {machine['threads']} threads, "
            f"{machine['read_bandwidth_gb_s']:.0f} GB/s ({low:.0f} .. {high:.0f})"
        )
    note = f" {entry['note']}" if "note" in entry else ""
    where = f"{entry['cpu']}{bandwidth}, {entry['date'][:10]}, commit {entry['commit']}."
    return f"`{entry['command']}` - {where}{note}"


def plot(entries: Sequence[Entry]) -> None:
    """Draw verify time by width of each result; the picture stays as it is without matplotlib."""
    try:
        from matplotlib import pyplot
    except ImportError:
        print(f"matplotlib is not installed: {PLOT.name} stays as it is", file=sys.stderr)
        return
    pyplot.rcParams["svg.hashsalt"] = "mtp-rt"  # the same picture from the same figures
    figure, axes = pyplot.subplots(figsize=(6, 3.5))
    for entry in entries:
        for context, times in entry["result"]["verify_ms"].items():
            label = f"{entry['cpu']}, context {context}"
            axes.plot([int(width) for width in times], list(times.values()), marker="o", label=label)
    axes.set(xlabel="rows of the verify call", ylabel="ms", ylim=(0, None))
    axes.legend()
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
