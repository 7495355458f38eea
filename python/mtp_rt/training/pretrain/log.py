"""What training leaves to look at: log.csv, curves.png, TensorBoard events.

log.csv has a row for every step (learning rate, norm of the gradient, each head's mean loss in nats) and for
every evaluation (each head's loss, accuracy and bits per byte; tokens per step of the drafts); cells that a
row does not have are empty.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtp_rt.training.distill.run_folder import write_atomically
from mtp_rt.training.pretrain.checkpoint import Place
from mtp_rt.training.pretrain.evaluate import Evaluation

LOG_FILE, CURVES_FILE = "log.csv", "curves.png"


class TrainLog:
    """Appends to the log of a run, which goes on where its checkpoint stands.

    Args:
        folder: where it lies.
        heads: how many heads have columns.
        step: rows of later steps are dropped.
    """

    def __init__(self, folder: Path, heads: int, step: int) -> None:
        self._folder, self._heads = folder, heads
        self._columns = ["step", "tokens", "seconds", "rate", "norm"]
        for name in ("loss", "dev_loss", "dev_accuracy", "dev_bits_per_byte"):
            self._columns += [f"{name}_{k}" for k in range(1, heads + 1)]
        self._columns.append("tokens_per_step")
        kept = [row for row in read_rows(folder) if int(row["step"]) <= step] if step else []
        lines = [",".join(self._columns), *(",".join(row[name] for name in self._columns) for row in kept)]
        write_atomically(folder / LOG_FILE, ["".join(line + "\n" for line in lines).encode()])
        self._writer = _tensorboard(folder, step)

    def step(self, place: Place, rate: float, norm: float, losses: Sequence[float]) -> None:
        """Add a training step; heads that took no part have no loss."""
        self._append(place, {"rate": rate, "norm": norm} | _by_head("loss", losses))

    def evaluation(self, place: Place, dev: Evaluation, tokens_per_step: float | None) -> None:
        """Add an evaluation and draw the curves anew."""
        row = _by_head("dev_loss", dev.losses) | _by_head("dev_accuracy", dev.accuracy)
        row |= _by_head("dev_bits_per_byte", dev.bits_per_byte)
        self._append(place, row if tokens_per_step is None else row | {"tokens_per_step": tokens_per_step})
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
            (line,) = losses.plot(*_series(rows, f"loss_{k}", smooth=20), linewidth=0.8, alpha=0.6)
            losses.plot(*_series(rows, f"dev_loss_{k}"), color=line.get_color(), label=f"{k} ahead")
            accuracy.plot(*_series(rows, f"dev_accuracy_{k}"), marker=".", label=f"{k} ahead")
        losses.set(xlabel="step", ylabel="nats per token", title="loss (thin: training)")
        accuracy.set(xlabel="step", ylabel="share of tokens", title="accuracy on held-out text")
        losses.legend()
        figure.savefig(self._folder / CURVES_FILE, dpi=120)

    def close(self) -> None:
        """Finish the TensorBoard events."""
        if self._writer is not None:
            self._writer.close()

    def _append(self, place: Place, row: Mapping[str, float]) -> None:
        head = {"step": place.step, "tokens": place.tokens, "seconds": round(place.seconds, 2)}
        with (self._folder / LOG_FILE).open("a", newline="") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow({**head, **row})
        if self._writer is not None:
            for name, cell in row.items():
                self._writer.add_scalar(name, cell, place.step)


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a folder's log as text; a last line that was cut off is none."""
    path = folder / LOG_FILE
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return list(csv.DictReader(whole.splitlines()))


def _by_head(name: str, values: Sequence[float]) -> dict[str, float]:
    return {f"{name}_{k}": value for k, value in enumerate(values, 1)}


def _tensorboard(folder: Path, step: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def _series(rows: Sequence[dict[str, str]], column: str, smooth: int = 1) -> tuple[list[int], list[float]]:
    """Return steps and values of a column, averaged over `smooth` rows."""
    points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
    groups = [points[at : at + smooth] for at in range(0, len(points), smooth)]
    return (
        [group[-1][0] for group in groups],
        [sum(value for _, value in group) / len(group) for group in groups],
    )
