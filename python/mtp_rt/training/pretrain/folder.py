"""The folder of one `mtp-rt train` run: whether it may be written, by whom, and whether it has room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtp_rt.errors import ArgumentError
from mtp_rt.training.files import exclusive
from mtp_rt.training.pretrain.checkpoint import CHECKPOINT

_LOCK = ".train.lock"
_BEGINNINGS = (".", "data", "log.csv", "events.out")  # what a run that failed at once has left


@contextmanager
def open_folder(out: Path, *, resume: bool, holds: str = CHECKPOINT) -> Iterator[None]:
    """Make the folder and be the only process that trains in it.

    Args:
        out: the folder.
        resume: whether a run that it holds goes on.
        holds: the file by which a run is recognised.

    Raises:
        ArgumentError: it holds something else, or a run without `resume`, or another process trains there.
        OSError: it cannot be made or written.
    """
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"{out} is not a folder; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    with exclusive(out / _LOCK, f"another process trains in {out}"):
        if (out / holds).exists():
            if not resume:
                raise ArgumentError(f"{out} holds a run; add --resume to go on, or choose another --out")
        elif others := [entry.name for entry in out.iterdir() if not entry.name.startswith(_BEGINNINGS)]:
            raise ArgumentError(f"{out} holds what is no run ({others[0]}); choose another --out")
        yield


def check_room(out: Path, needed: int) -> None:
    """See that the disk has room for what a run will write.

    Raises:
        ArgumentError: it has not.
    """
    free = shutil.disk_usage(out).free
    if free < needed:
        raise ArgumentError(
            f"{out}: checkpoints and the finished model need {needed / 1e6:,.0f} MB, but "
            f"{free / 1e6:,.0f} MB are free; make room, or choose another --out"
        )
