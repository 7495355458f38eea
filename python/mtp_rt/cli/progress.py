"""Progress on stderr: bars on a terminal, a line for each thing done elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mtp_rt.cli import output

Progress = Callable[[str, int, int], None]


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Give a function that is told (what, done, total), as often as it likes; total 0 is unknown.

    Nothing appears, and rich is not loaded, before it is called.
    """
    if sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        yield _lines()


def _lines() -> Progress:
    begun: set[str] = set()

    def progress(what: str, done: int, total: int) -> None:
        if what not in begun:
            begun.add(what)
            output.note(what)

    return progress


@contextmanager
def _bars() -> Iterator[Progress]:
    bars: _Bars | None = None

    def progress(what: str, done: int, total: int) -> None:
        nonlocal bars
        if bars is None:
            bars = _Bars()
        bars.update(what, done, total)

    try:
        yield progress
    finally:
        if bars is not None:
            bars.stop()


class _Bars:
    """One rich bar for each thing that is under way."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._tasks: dict[str, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()

    def update(self, what: str, done: int, total: int) -> None:
        from rich.progress import TaskID

        if what not in self._tasks:
            self._tasks[what] = int(self._progress.add_task(what, total=None))
        self._progress.update(TaskID(self._tasks[what]), completed=done, total=total or None)

    def stop(self) -> None:
        self._progress.stop()
