"""What a bad model directory is to a test: how it differs from a good one and which error it must give."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiny_dirs import Draft, tiny_draft

from mtp_rt.errors import Error, ModelFormatError

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


@dataclass(frozen=True)
class Case:
    """One bad directory. `change` damages the draft, `after` the files once they are written."""

    name: str
    file: str
    field: str
    change: Callable[[Draft], object] = lambda draft: None
    after: Callable[[Path], object] = lambda folder: None
    error: type[Error] = ModelFormatError
    draft: Callable[[], Draft] = tiny_draft


def file_cases(file: str) -> list[Case]:
    """The file is missing or something other than a readable regular file."""

    def replace(name: str, make: Callable[[Path], object]) -> Case:
        def after(folder: Path) -> None:
            (folder / file).unlink()
            make(folder / file)

        return Case(f"{file} {name}", file, "", after=after)

    return [
        replace("is missing", lambda path: None),
        replace("is empty", lambda path: path.touch()) if file == CONFIG_FILE else empty_weights(),
        replace("is a directory", lambda path: path.mkdir()),
        replace("is a named pipe", os.mkfifo),
        replace("is a dangling link", lambda path: path.symlink_to("nowhere")),
        replace("is a link to itself", lambda path: path.symlink_to(path)),
        replace("is a link to a device", lambda path: path.symlink_to("/dev/zero")),
        replace("is a link out to a directory", lambda path: path.symlink_to("/")),
    ]


def empty_weights() -> Case:
    return Case(
        f"{WEIGHTS_FILE} is empty",
        WEIGHTS_FILE,
        "header",
        after=lambda folder: os.truncate(folder / WEIGHTS_FILE, 0),
    )


def no_directory_cases() -> list[tuple[str, Callable[[Path], object]]]:
    """The path leads to no directory at all."""
    return [
        ("missing", shutil.rmtree),
        ("a file", lambda folder: (shutil.rmtree(folder), folder.touch())),
        ("a dangling link", lambda folder: (shutil.rmtree(folder), folder.symlink_to("nowhere"))),
    ]
