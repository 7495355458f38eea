"""The cache of model directories, and the rule that turns a name into one."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mtp_rt.errors import DownloadError, ModelFormatError, ModelNotFoundError
from mtp_rt.hub.known import KnownModel, ShippedHeads, known_models

if TYPE_CHECKING:
    from mtp_rt.hub.fetch import Progress

_PACKAGES = Path(__file__).parent / "packages"


def cache_root() -> Path:
    """Return the cache's folder: $MTP_RT_CACHE, else $XDG_CACHE_HOME/mtp-rt, else ~/.cache/mtp-rt."""
    own = os.environ.get("MTP_RT_CACHE")
    if own:
        return Path(own).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "mtp-rt"


def cached_models() -> dict[str, Path]:
    """Return name -> directory of the known models that are in the cache, or came with mtp-rt."""
    directories = {model.name: _directory(model) for model in known_models()}
    return {name: path for name, path in directories.items() if _is_complete(path)}


def resolve_model(name_or_dir: str | Path, progress: Progress | None = None) -> Path:
    """Return the model directory that a --model value means.

    A directory is used as it is. A known name is looked up in the cache and pulled on first use.

    Args:
        name_or_dir: A directory or a known name.
        progress: Called with (what, bytes done, bytes in all) while pulling.

    Raises:
        ModelNotFoundError: neither; lists the known names and near matches.
        DownloadError: the model could not be fetched; the cache is as it was.
    """
    name = str(name_or_dir)
    path = Path(name).expanduser()
    if name and path.is_dir():
        return path
    if path.is_file():
        raise ModelNotFoundError(
            f"{name} is a file, not a model directory; convert it first: mtp-rt import {name} DIR"
        )
    if "/" in name:
        raise ModelNotFoundError(f"{name!r}: there is no such directory")
    return pull(name, progress=progress)


def pull(name: str, *, progress: Progress | None = None, force: bool = False) -> Path:
    """Return the cached directory of a known model, fetching and converting it if it is not there.

    Several processes may pull at once: one works, the others wait and find the result. Whatever fails, a
    directory that was in the cache stays.

    Args:
        name: A known name.
        progress: Called with (what, bytes done, bytes in all).
        force: Fetch even if the model is cached.

    Raises:
        ModelNotFoundError: no such name.
        DownloadError: no source has it, the disk is full, or the cache is not writable.
    """
    model = _known(name)
    target = _directory(model)
    if _is_complete(target) and not force:
        return target
    if model.folder is not None:
        return _shipped(model.name, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.parent / f".{name}.lock", progress):
            if force or not _is_complete(target):  # else another process has just pulled it
                if model.heads is None:
                    _fetch_and_convert(model, target, progress)
                else:
                    base = pull(model.heads.base, progress=progress, force=force)
                    _join_heads(model.name, model.heads, base, target, progress)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = "free some space" if full else "choose another folder"
        where = f" ({error.filename})" if error.filename and not full else ""
        problem = f"cannot write to the cache {cache_root()}: {error.strerror or error}{where}"
        raise DownloadError(f"{name}: {problem}; {hint} or set MTP_RT_CACHE") from error
    return target


def _fetch_and_convert(model: KnownModel, target: Path, progress: Progress | None) -> None:
    import shutil
    import tempfile

    from mtp_rt.convert.gguf_import import import_gguf
    from mtp_rt.hub.fetch import fetch_model_file

    for left_over in target.parent.glob(f".{model.name}.*/"):  # of a pull that was killed: we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{model.name}.", dir=target.parent) as folder:
        source = fetch_model_file(model, Path(folder), progress)
        provenance = {"name": model.name, "license": model.license}
        import_gguf(source, target, progress=progress, provenance=provenance, replace=True)


def _join_heads(name: str, heads: ShippedHeads, base: Path, target: Path, progress: Progress | None) -> None:
    from mtp_rt.convert.join_heads import assemble

    if progress is not None:
        progress("adding heads", 0, 1)
    try:
        assemble(base, _PACKAGES / heads.folder, target, replace=True)
    except ModelFormatError as error:
        raise DownloadError(f"{name}: {error}; 'mtp-rt pull --force {name}' fetches its base anew") from error
    if progress is not None:
        progress("adding heads", 1, 1)


def _shipped(name: str, directory: Path) -> Path:
    if not _is_complete(directory):
        raise DownloadError(f"{name}: {directory} comes with mtp-rt, but is not there: install mtp-rt again")
    return directory


@contextmanager
def _lock(path: Path, progress: Progress | None) -> Iterator[None]:
    """Hold the lock file; the system releases it even if the process dies."""
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress is not None:
                progress("waiting for another process that pulls this model", 0, 0)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _directory(model: KnownModel) -> Path:
    if model.folder is not None:
        return _PACKAGES / model.folder
    # Another release may bring other heads: each has a directory of its own.
    name = model.name if model.heads is None else f"{model.name}-{model.heads.sha256[:8]}"
    return cache_root() / "models" / name


def _is_complete(path: Path) -> bool:
    # Directories are renamed into the cache whole, so these two files stand for the rest.
    return (path / "config.json").is_file() and (path / "model.safetensors").is_file()


def _known(name: str) -> KnownModel:
    names = {model.name: model for model in known_models()}
    if name in names:
        return names[name]
    import difflib

    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ModelNotFoundError(
        f"{name!r} is neither a directory nor a known model; {hint}known models: {', '.join(names)}"
    )
