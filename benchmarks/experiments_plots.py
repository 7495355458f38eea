"""The pictures of docs/experiments.md, drawn with matplotlib. The same results give the same file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report_plots import new_figure, save_figure

Line = dict[str, Any]


def curves(lines: Sequence[Line], score: str, chance: float | None, path: Path) -> None:
    """Draw a score by the steps of training: a colour for each experiment, a line for each seed."""
    figure, axes = new_figure(6, 3.5)
    names = list(dict.fromkeys(line["name"] for line in lines))
    for line in lines:
        name = line["name"]
        first = next(other for other in lines if other["name"] == name) is line
        axes.plot(
            [point["step"] for point in line["curve"]],
            [100 * point[score] for point in line["curve"]],
            color=f"C{names.index(name)}",
            linewidth=1.2,
            marker=".",
            label=name.split(" ", 1)[1] if first else None,
        )
    if chance is not None:
        axes.axhline(100 * chance, color="grey", linewidth=0.8, linestyle="--")
    axes.set(xlabel="steps", ylabel="%", ylim=(-3, 103))
    axes.legend()
    save_figure(figure, path)


def information(parts: Mapping[str, Any], path: Path) -> None:
    """Draw what next-token and two-token training weigh, for every kind of text."""
    figure, axes = new_figure(7, 0.7 + 0.9 * len(parts))
    places, labels = [], []
    for number, (kind, part) in enumerate(parts.items()):
        for at, (training, times) in enumerate((("next token", 1), ("two tokens", 2))):
            place, left = -(3 * number + at), 0.0
            widths = (part.x_given_y, times * part.shared, part.y_given_x)
            for colour, width in enumerate(widths):
                axes.barh(place, width, 0.8, left, color=f"C{colour}")
                left += width
            places.append(place)
            labels.append(f"{kind}: {training}")
    for colour, name in enumerate(("H(X|Y)", "I(X;Y), as often as it counts", "H(Y|X)")):
        axes.barh(0, 0, color=f"C{colour}", label=name)
    axes.set_yticks(places, labels)
    axes.set(xlabel="bits")
    axes.legend(loc="upper right")
    save_figure(figure, path)
