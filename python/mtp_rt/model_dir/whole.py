"""Files and directories written whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mtp_rt.errors import ArgumentError


@contextmanager
def whole_directory(target: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary directory to fill; when the block ends, it is flushed and renamed to `target`.

    If the block fails, the temporary directory is removed and what stood at `target` is untouched.

    Raises:
        ArgumentError: `target` exists and is not an empty directory, or not a directory at all.
        OSError: the disk is full or not writable.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100 - resolve() would follow a link at the target
    _check_target(target, replace)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{os.urandom(6).hex()}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        _flush(temporary)
        _rename(temporary, target, replace)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_file(path: Path, content: bytes | memoryview | Path) -> None:
    """Make a new file of these bytes, or a copy of the file at a path, and flush it to the disk.

    Raises:
        OSError: the disk is full or not writable.
    """

    def copy(file: BinaryIO) -> None:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file)
        else:
            file.write(content)

    fill_file(path, copy)


def fill_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Make a new file, let `write` fill it and flush it to the disk.

    Raises:
        OSError: the disk is full or not writable; names the file.
    """
    try:
        with path.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _check_target(target: Path, replace: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ArgumentError(f"{target} exists and is not a directory; remove it or choose another name")
    if not replace and target.is_dir() and any(target.iterdir()):
        raise ArgumentError(f"{target} is not empty; remove it or choose another name")


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(temporary: Path, target: Path, replace: bool) -> None:
    """Give `temporary` the name `target`.

    A directory that may be replaced moves aside first; without leave, the system refuses to rename onto one
    that somebody filled meanwhile.
    """
    aside = temporary.with_suffix(".old")
    replaces = replace and target.exists()
    if replaces:
        target.rename(aside)
    try:
        temporary.rename(target)
    except BaseException:
        if replaces:
            aside.rename(target)
        raise
    _flush(target.parent)
    if replaces:
        shutil.rmtree(aside, ignore_errors=True)
