"""Files of a training run: written whole, and by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtp_rt.errors import ArgumentError


def write_atomically(path: Path, parts: list[bytes]) -> None:
    """Write a file whole: beside its place, flushed to the disk, then renamed.

    Raises:
        OSError: the disk is full or not writable; `path` is as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(path: Path, refusal: str = "") -> Iterator[None]:
    """Hold a lock file; the system releases it even if the process dies.

    Args:
        path: the lock file.
        refusal: what is said where another process holds it; without, this one waits.

    Raises:
        ArgumentError: another process holds it, and there is a refusal.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except BlockingIOError:
            raise ArgumentError(f"{refusal}; wait for it or end it") from None
        yield
