"""What training leaves to look at: log.csv, curves.png, TensorBoard events.

log.csv has a row for every step and for every evaluation; cells that a row does not have are empty.
"""

from __future__ import annotations

import csv
import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtp_rt.training.files import write_atomically

LOG_FILE, CURVES_FILE = "log.csv", "curves.png"


class RunLog:
    """Appends rows to the log of a run, which goes on where its checkpoint stands.

    Args:
        folder: where it lies.
        place: columns that say where training stands; the first is "step".
        columns: the others, which TensorBoard shows.
        step: of the checkpoint; rows of later steps are dropped.
    """

    def __init__(self, folder: Path, place: Sequence[str], columns: Sequence[str], step: int) -> None:
        self._folder, self._columns = folder, [*place, *columns]
        kept = [row for row in read_rows(folder) if int(row["step"]) <= step] if step else []
        lines = [",".join(self._columns), *(",".join(row[name] for name in self._columns) for row in kept)]
        write_atomically(folder / LOG_FILE, ["".join(line + "\n" for line in lines).encode()])
        self._writer = _tensorboard(folder, step)

    def append(self, place: Mapping[str, float], row: Mapping[str, float]) -> None:
        """Add a row; `place` and `row` name cells, and what is NaN was not measured."""
        row = {name: cell for name, cell in row.items() if not math.isnan(cell)}
        with (self._folder / LOG_FILE).open("a", newline="") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow({**place, **row})
        if self._writer is not None:
            for name, cell in row.items():
                self._writer.add_scalar(name, cell, int(place["step"]))

    def close(self) -> None:
        """Finish the TensorBoard events."""
        if self._writer is not None:
            self._writer.close()


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a folder's log as text; a last line that was cut off is none."""
    path = folder / LOG_FILE
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return list(csv.DictReader(whole.splitlines()))


def by_number(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return cells `name_1`, `name_2`, ... of these values."""
    return {f"{name}_{k}": value for k, value in enumerate(values, 1)}


def series(
    rows: Sequence[Mapping[str, str]], across: str, column: str, smooth: int = 1
) -> tuple[list[int], list[float]]:
    """Return the columns `across` and `column` of rows that have the latter, averaged over `smooth` rows."""
    points = [(int(row[across]), float(row[column])) for row in rows if row[column]]
    groups = [points[at : at + smooth] for at in range(0, len(points), smooth)]
    return (
        [group[-1][0] for group in groups],
        [sum(value for _, value in group) / len(group) for group in groups],
    )


def _tensorboard(folder: Path, step: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
