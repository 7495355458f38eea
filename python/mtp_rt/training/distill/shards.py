"""Shards of recorded states: safetensors files, written whole, checked when opened.

A shard holds whole dialogues, one behind the other; row i belongs to token i:

    tokens        I32 [rows]             prompt and answer
    starts        I32 [dialogues + 1]    where each dialogue begins; the last is the number of rows
    dialogues     I32 [dialogues]        their numbers in the run, ascending
    splits        U8  [dialogues]        0 train, 1 dev, 2 held_out
    temperatures  F16 [dialogues]        at which the answers were sampled; 0 is greedy
    loss_mask     U8  [rows]             1 where the token is the model's own: it belongs to the answer
    states        F16 [rows, hidden]     the trunk's state after its final norm
    taps          F16 [rows, taps, hidden]   outputs of tapped layers; absent without taps
    top_ids       I32 [rows, k]          the main head's likeliest tokens of row i + 1, best first
    top_logprobs  F16 [rows, k]          their log-probabilities in nats

`top_ids` and `top_logprobs` are meaningful where the next token is the model's own, and zero elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir.safetensors import (
    LENGTH_BYTES,
    StoredTensor,
    file_start,
    header_length,
    parse_header,
)
from mtp_rt.training.files import write_atomically

SPLITS = {"train": 0, "dev": 1, "held_out": 2}
PER_ROW = ("tokens", "loss_mask", "states", "top_ids", "top_logprobs")
PER_DIALOGUE = ("dialogues", "splits", "temperatures")
_DTYPES = {"I32": "<i4", "F16": "<f2", "U8": "|u1"}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_REMEDY = "delete it and the shards after it, then record again"

Arrays = Mapping[str, NDArray[Any]]


def shard_path(folder: Path, number: int) -> Path:
    """Return the name of shard `number`."""
    return folder / f"{number:04d}.safetensors"


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of a folder, in order.

    Raises:
        ModelFormatError: one is missing between others.
    """
    paths = sorted(folder.glob("[0-9]*.safetensors"))
    for number, path in enumerate(paths):
        if path != shard_path(folder, number):
            missing = shard_path(folder, number)
            problem = f"is missing, but {path.name} is there; delete the shards after it, then record again"
            raise ModelFormatError(str(missing), "", problem)
    return paths


def write_shard(path: Path, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write a shard atomically.

    Args:
        path: The file.
        arrays: Little-endian int32, float16 and uint8 arrays by name.
        metadata: Says whose states these are.

    Raises:
        OSError: the disk is full or not writable; nothing is left behind.
    """
    stored: dict[str, StoredTensor] = {}
    parts: list[bytes] = []
    cursor = 0
    for name, array in sorted(arrays.items(), key=lambda entry: -entry[1].dtype.itemsize):
        dtype = _NAMES[array.dtype.newbyteorder("<").str]
        stored[name] = StoredTensor(dtype, array.shape, cursor, cursor + array.nbytes)
        parts.append(array.tobytes())
        cursor += array.nbytes
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [file_start(stored, metadata), *parts])


def read_shard(path: Path, metadata: Mapping[str, str] | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays of a shard, mapped from the file.

    Args:
        path: The file.
        metadata: What the shard must say of itself; None takes any.

    Raises:
        ModelFormatError: it is truncated or damaged, or holds the states of something else; names the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = header_length(file.read(LENGTH_BYTES), size, str(path))
        header = file.read(length)
    tensors = parse_header(header, size, str(path))
    _check_metadata(path, json.loads(header).get("__metadata__", {}), metadata or {})
    arrays: dict[str, NDArray[Any]] = {
        name: np.memmap(path, _DTYPES[tensor.dtype], "r", tensor.begin, tensor.shape)
        for name, tensor in tensors.items()
        if tensor.dtype in _DTYPES and tensor.end > tensor.begin
    }
    _check_shapes(path, arrays)
    return arrays


def _check_metadata(path: Path, found: Mapping[str, Any], expected: Mapping[str, str]) -> None:
    for key, value in expected.items():
        if found.get(key) != value:
            problem = f"is {found.get(key)!r}, not {value!r}: the shard of another run; {_REMEDY}"
            raise ModelFormatError(str(path), key, problem)


def _check_shapes(path: Path, arrays: Arrays) -> None:
    for name in (*PER_ROW, *PER_DIALOGUE, "starts"):
        if name not in arrays:
            raise ModelFormatError(str(path), name, f"is missing; {_REMEDY}")
    rows, starts = len(arrays["tokens"]), arrays["starts"]
    for names, count, what in ((PER_ROW, rows, "tokens"), (PER_DIALOGUE, len(starts) - 1, "dialogues")):
        for name in names:
            if len(arrays[name]) != count:
                problem = f"has {len(arrays[name])} rows for {count} {what}; {_REMEDY}"
                raise ModelFormatError(str(path), name, problem)
    if starts[0] != 0 or starts[-1] != rows or np.any(np.diff(starts) < 1):
        raise ModelFormatError(str(path), "starts", f"does not cut the tokens into dialogues; {_REMEDY}")
