"""JSON lines that survive a kill at any byte: appended whole, flushed in batches, a torn end cut off."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mtp_rt.errors import ModelFormatError

SYNC_SECONDS = 5.0


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of the complete lines of a file; another process may be appending to it.

    Raises:
        ModelFormatError: a complete line is not a JSON object; names file and line.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                problem = "is not a JSON object; remove this line and those after it to go on from there"
                raise ModelFormatError(str(path), f"line {number}", problem)
            yield value


class LineAppender:
    """Appends JSON lines to a file, first cutting off a line that a kill left without its end."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._file.truncate(_complete_bytes(path))
        self._synced = time.monotonic()

    def __enter__(self) -> LineAppender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync()
        self._file.close()

    def append(self, value: Mapping[str, Any]) -> None:
        """Write one line, at once visible to readers; every few seconds the disk is told to keep it."""
        self._file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Return when what was written has reached the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


def _complete_bytes(path: Path) -> int:
    """Return the length of the file up to its last line end."""
    data = path.read_bytes()
    return data.rfind(b"\n") + 1
