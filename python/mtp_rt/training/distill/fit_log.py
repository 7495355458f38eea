"""The log of the fit stage.

Every step has a row (learning rate, loss, each draft's KL in nats), and every evaluation (each draft's
acceptance, tokens per step).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from mtp_rt.training.distill.acceptance import Acceptance
from mtp_rt.training.distill.place import Place
from mtp_rt.training.run_log import CURVES_FILE, RunLog, by_number, read_rows, series


class FitLog:
    """Appends to the log of a run, which goes on where its checkpoint stands.

    Args:
        folder: where it lies.
        drafts: how many drafts have columns.
        step: rows of later steps are dropped.
    """

    def __init__(self, folder: Path, drafts: int, step: int) -> None:
        self._folder, self._drafts = folder, drafts
        columns = ["rate", "loss"]
        for name in ("kl", "alpha"):
            columns += [f"{name}_{k}" for k in range(1, drafts + 1)]
        self._log = RunLog(folder, ("step", "visits", "seconds"), [*columns, "tokens_per_step"], step)

    def step(self, place: Place, rate: float, loss: float, divergence: Sequence[float]) -> None:
        """Add a training step."""
        self._log.append(_cells(place), {"rate": rate, "loss": loss} | by_number("kl", divergence))

    def evaluation(self, place: Place, dev: Acceptance) -> None:
        """Add an evaluation and draw the curves anew."""
        row = by_number("alpha", dev.alpha) | {"tokens_per_step": dev.tokens_per_step}
        self._log.append(_cells(place), row)
        self.draw()

    def draw(self) -> None:
        """Draw curves.png: loss, and acceptance by draft; needs matplotlib, else nothing is drawn."""
        if importlib.util.find_spec("matplotlib") is None:
            return
        from matplotlib.figure import Figure

        rows = read_rows(self._folder)
        figure = Figure(figsize=(10, 4), layout="constrained")
        losses, acceptance = figure.subplots(1, 2)
        for k in range(1, self._drafts + 1):
            losses.plot(*series(rows, "visits", f"kl_{k}", smooth=50), label=f"draft {k}")
            acceptance.plot(*series(rows, "visits", f"alpha_{k}"), marker=".", label=f"draft {k}")
        total = acceptance.twinx()
        total.plot(*series(rows, "visits", "tokens_per_step"), color="black", linewidth=2)
        losses.set(xlabel="slots seen", ylabel="KL to the main head, nats", title="training")
        acceptance.set(xlabel="slots seen", ylabel="chance that a draft stands", title="development split")
        total.set_ylabel("tokens per step (black)")
        losses.legend()
        acceptance.legend()
        figure.savefig(self._folder / CURVES_FILE, dpi=120)


def _cells(place: Place) -> dict[str, float]:
    return {"step": place.step, "visits": place.visits, "seconds": round(place.seconds, 2)}
