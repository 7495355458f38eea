"""The log of training from scratch.

Every step has a row (learning rate, norm of the gradient, each head's mean loss in nats), and every
evaluation (each head's loss, accuracy and bits per byte; tokens per step of the drafts).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from mtp_rt.training.pretrain.checkpoint import Place
from mtp_rt.training.pretrain.evaluate import Evaluation
from mtp_rt.training.run_log import CURVES_FILE, RunLog, by_number, read_rows, series


class TrainLog:
    """Appends to the log of a run, which goes on where its checkpoint stands.

    Args:
        folder: where it lies.
        heads: how many heads have columns.
        step: rows of later steps are dropped.
    """

    def __init__(self, folder: Path, heads: int, step: int) -> None:
        self._folder, self._heads = folder, heads
        columns = ["rate", "norm"]
        for name in ("loss", "dev_loss", "dev_accuracy", "dev_bits_per_byte"):
            columns += [f"{name}_{k}" for k in range(1, heads + 1)]
        self._log = RunLog(folder, ("step", "tokens", "seconds"), [*columns, "tokens_per_step"], step)

    def step(self, place: Place, rate: float, norm: float, losses: Sequence[float]) -> None:
        """Add a training step; heads that took no part have no loss."""
        self._log.append(_cells(place), {"rate": rate, "norm": norm} | by_number("loss", losses))

    def evaluation(self, place: Place, dev: Evaluation, tokens_per_step: float | None) -> None:
        """Add an evaluation and draw the curves anew."""
        row = by_number("dev_loss", dev.losses) | by_number("dev_accuracy", dev.accuracy)
        row |= by_number("dev_bits_per_byte", dev.bits_per_byte)
        if tokens_per_step is not None:
            row["tokens_per_step"] = tokens_per_step
        self._log.append(_cells(place), row)
        self.draw()

    def draw(self) -> None:
        """Draw curves.png: losses and accuracy by head; needs matplotlib, else nothing is drawn."""
        if importlib.util.find_spec("matplotlib") is None:
            return
        from matplotlib.figure import Figure

        rows = read_rows(self._folder)
        figure = Figure(figsize=(10, 4), layout="constrained")
        losses, accuracy = figure.subplots(1, 2)
        for k in range(1, self._heads + 1):
            (line,) = losses.plot(*series(rows, "step", f"loss_{k}", smooth=20), linewidth=0.8, alpha=0.6)
            losses.plot(*series(rows, "step", f"dev_loss_{k}"), color=line.get_color(), label=f"{k} ahead")
            accuracy.plot(*series(rows, "step", f"dev_accuracy_{k}"), marker=".", label=f"{k} ahead")
        losses.set(xlabel="step", ylabel="nats per token", title="loss (thin: training)")
        accuracy.set(xlabel="step", ylabel="share of tokens", title="accuracy on held-out text")
        losses.legend()
        figure.savefig(self._folder / CURVES_FILE, dpi=120)

    def close(self) -> None:
        """Finish the TensorBoard events."""
        self._log.close()


def _cells(place: Place) -> dict[str, float]:
    return {"step": place.step, "tokens": place.tokens, "seconds": round(place.seconds, 2)}
