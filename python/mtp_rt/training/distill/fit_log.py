"""What training leaves to look at: log.csv, curves.png, TensorBoard events.

log.csv has a row for every step (learning rate, loss, each draft's KL in nats) and for every evaluation (each
draft's acceptance, tokens per step); cells that a row does not have are empty.
"""

from __future__ import annotations

import csv
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtp_rt.training.distill.acceptance import Acceptance
from mtp_rt.training.distill.place import Place

LOG_FILE, CURVES_FILE = "log.csv", "curves.png"


class FitLog:
    """Appends to the log of a run, which goes on where it stands.

    Args:
        folder: where it lies.
        drafts: how many drafts have columns.
    """

    def __init__(self, folder: Path, drafts: int) -> None:
        self._folder, self._drafts = folder, drafts
        self._columns = ["step", "visits", "seconds", "rate", "loss"]
        self._columns += [f"kl_{k}" for k in range(1, drafts + 1)]
        self._columns += [f"alpha_{k}" for k in range(1, drafts + 1)] + ["tokens_per_step"]
        self._writer = _tensorboard(folder)
        if not (folder / LOG_FILE).exists():
            self._write([])

    def step(self, place: Place, rate: float, loss: float, divergence: Sequence[float]) -> None:
        """Add a training step."""
        row = self._row(place) | {"rate": rate, "loss": loss}
        self._append(row | {f"kl_{k}": value for k, value in enumerate(divergence, 1)})

    def evaluation(self, place: Place, dev: Acceptance) -> None:
        """Add an evaluation and draw the curves anew."""
        row = self._row(place) | {f"alpha_{k}": value for k, value in enumerate(dev.alpha, 1)}
        self._append(row | {"tokens_per_step": dev.tokens_per_step})
        self.draw()

    def forget_after(self, step: int) -> None:
        """Drop the rows of steps that the checkpoint does not know."""
        self._write([row for row in self.rows() if int(row["step"]) <= step])

    def rows(self) -> list[dict[str, str]]:
        """Return the rows as text."""
        with (self._folder / LOG_FILE).open(newline="") as file:
            return list(csv.DictReader(file))

    def draw(self) -> None:
        """Draw curves.png: loss, and acceptance by draft; needs matplotlib, else nothing is drawn."""
        if importlib.util.find_spec("matplotlib") is None:
            return
        from matplotlib.figure import Figure

        rows = self.rows()
        figure = Figure(figsize=(10, 4), layout="constrained")
        losses, acceptance = figure.subplots(1, 2)
        for k in range(1, self._drafts + 1):
            losses.plot(*_series(rows, f"kl_{k}", smooth=50), label=f"draft {k}")
            acceptance.plot(*_series(rows, f"alpha_{k}"), marker=".", label=f"draft {k}")
        total = acceptance.twinx()
        total.plot(*_series(rows, "tokens_per_step"), color="black", linewidth=2)
        losses.set(xlabel="slots seen", ylabel="KL to the main head, nats", title="training")
        acceptance.set(xlabel="slots seen", ylabel="chance that a draft stands", title="development split")
        total.set_ylabel("tokens per step (black)")
        losses.legend()
        acceptance.legend()
        figure.savefig(self._folder / CURVES_FILE, dpi=120)

    def _row(self, place: Place) -> dict[str, Any]:
        return {"step": place.step, "visits": place.visits, "seconds": round(place.seconds, 2)}

    def _append(self, row: dict[str, Any]) -> None:
        with (self._folder / LOG_FILE).open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(
                {
                    name: "" if isinstance(cell, float) and math.isnan(cell) else cell
                    for name, cell in row.items()
                }
            )
        if self._writer is not None:
            for name, cell in row.items():
                if name not in {"step", "visits", "seconds"}:
                    self._writer.add_scalar(name, cell, row["step"])

    def _write(self, rows: Sequence[dict[str, str]]) -> None:
        with (self._folder / LOG_FILE).open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)


def _tensorboard(folder: Path) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def _series(rows: Sequence[dict[str, str]], column: str, smooth: int = 1) -> tuple[list[int], list[float]]:
    """Return visits and values of a column, averaged over `smooth` rows."""
    points = [(int(row["visits"]), float(row[column])) for row in rows if row[column]]
    groups = [points[at : at + smooth] for at in range(0, len(points), smooth)]
    return (
        [group[-1][0] for group in groups],
        [sum(value for _, value in group) / len(group) for group in groups],
    )
