"""The pictures of docs/benchmarks.md, drawn with matplotlib. The same figures give the same file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

BAR_WIDTH = 0.38


def verify_by_width(entries: Sequence[Entry], path: Path) -> None:
    """Draw the time of a verify call by its rows, a line for each processor and context."""
    figure, axes = new_figure(6, 3.5)
    for entry in entries:
        for context, times in entry["result"]["verify_ms"].items():
            label = f"{entry['cpu']}, context {context}"
            axes.plot([int(width) for width in times], list(times.values()), marker="o", label=label)
    axes.set(xlabel="rows of the verify call", ylabel="ms", ylim=(0, None))
    axes.legend()
    save_figure(figure, path)


def by_source(entries: Sequence[Entry], path: Path) -> None:
    """Draw tokens per step and speed-up of each source, at batch 1 of the newest result."""
    result = entries[-1]["result"]
    sources = sorted(result["per_source"], key=lambda source: -result["per_source"][source]["speedup"])
    figure, axes = new_figure(1.2 + 0.9 * len(sources), 3.5)
    for shift, key, label in ((-0.5, "tokens_per_step", "tokens per step"), (0.5, "speedup", "speed-up")):
        heights = [result["per_source"][source][key] for source in sources]
        places = [place + shift * BAR_WIDTH for place in range(len(sources))]
        bars = axes.bar(places, heights, BAR_WIDTH, label=label)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.axhline(1.0, color="grey", linewidth=0.8)
    axes.set_xticks(range(len(sources)), sources)
    axes.margins(y=0.2)
    axes.legend()
    save_figure(figure, path)


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """Return a figure of so many inches, and its axes."""
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "mtp-rt"
    return pyplot.subplots(figsize=(width, height))


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure, without the date."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
