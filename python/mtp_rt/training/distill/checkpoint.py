"""Checkpoints of the fit stage: written whole, read without running code from them."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.training.files import write_atomically

# Settings that may differ when a run goes on: how long, and how often it is looked at.
_FREE = {"hours", "steps", "evaluate_every", "patience", "threads", "dev_slots"}


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint and rename it into place.

    Raises:
        OSError: the disk is full or not writable; the one before stands.
    """
    stream = io.BytesIO()
    torch.save(dict(content), stream)
    write_atomically(path, [stream.getvalue()])


def load_checkpoint(path: Path, config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a checkpoint's content, or None if there is none.

    Args:
        path: the file.
        config: the settings it must have been made with; None: any.

    Raises:
        ModelFormatError: the file is damaged.
        ArgumentError: it was made with other settings; names them.
    """
    if not path.exists():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelFormatError(str(path), "", f"is damaged ({error}); remove it to start again") from error
    if config is not None:
        begun = saved["config"]
        names = sorted(name for name in config if name not in _FREE and begun.get(name) != config[name])
        if names:
            changes = ", ".join(f"{name} {begun.get(name)!r} -> {config[name]!r}" for name in names)
            raise ArgumentError(f"{path} was made with other settings ({changes}); keep them or start again")
    return saved
