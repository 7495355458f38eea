"""Writing a model directory: whole, or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.model_dir.config import CONFIG_FILE, MAX_CONFIG_BYTES, ModelConfig, parse_model_config
from mtp_rt.model_dir.layout import layout_of, parts_of
from mtp_rt.model_dir.reader import ModelDir, read_model_dir
from mtp_rt.model_dir.safetensors import (
    DTYPE_BYTES,
    LENGTH_BYTES,
    WEIGHTS_FILE,
    StoredTensor,
    encode_header,
)
from mtp_rt.model_dir.whole import fill_file, whole_directory, write_file

Tensor = tuple[str, str, Sequence[int], Any]  # name, dtype, shape, buffer

PLANS_RECORD = "tensorrt.json"  # what the *.engine files fit

_DERIVED = {".onnx", ".engine"}  # suffixes of files that are made for the weights beside them
_OWN = {CONFIG_FILE, WEIGHTS_FILE, PLANS_RECORD}  # made anew with every directory
_WIDEST_ELEMENT = max(DTYPE_BYTES.values())


def write_model_dir(
    target: str | os.PathLike[str],
    config: Mapping[str, Any],
    tensors: Iterable[Tensor],
    extra_files: Mapping[str, bytes | Path] | None = None,
    *,
    derive: Callable[[ModelDir], Mapping[str, bytes | memoryview]] | None = None,
    replace: bool = False,
) -> None:
    """Write a complete model directory and rename it into place.

    Everything is written to a temporary directory beside the target, flushed to the disk and read back by
    `read_model_dir`; only then does it get its name. Whatever fails, the temporary directory is removed and
    what stood at `target` is untouched. Tensors are consumed one at a time.

    Args:
        target: the directory to make; its parent is made if needed.
        config: config.json, as docs/model_dir.md defines it.
        tensors: (name, dtype, shape, buffer) of every stored tensor, in the order in which they are to lie in
            the file: dtype F32, F16, BF16, I32, I8 or U8; buffer any C-contiguous object with the buffer
            protocol (a numpy array too) of exactly product(shape) elements, little-endian. A generator may
            make each when asked.
        extra_files: top-level files to add, by name: their bytes, or a path to copy.
        derive: makes further files, by name, from the directory once its weights lie in it: files that say
            where in model.safetensors a weight is.
        replace: whether a directory at `target` that is not empty may be replaced.

    Raises:
        ArgumentError: `target` exists and is not an empty directory, a file name is not a plain name, or a
            buffer's size does not fit its shape.
        ModelFormatError: config and tensors do not make a valid model directory.
        UnsupportedError: config asks for what no engine has.
        OSError: the disk is full or not writable.
    """
    extra_files = extra_files or {}
    _check_names("extra_files", extra_files)
    with whole_directory(target, replace=replace) as temporary:
        _fill(temporary, config, tensors, extra_files)
        written = read_model_dir(temporary)
        derived = {} if derive is None else derive(written)
        _check_names("derive", derived, taken=extra_files)
        for name, content in derived.items():
            write_file(temporary / name, content)


def carried_files(model: ModelDir) -> dict[str, Path]:
    """Return the files that a directory with other weights keeps, by name."""
    return {
        path.name: path
        for path in sorted(model.path.iterdir())
        if path.is_file() and path.name not in _OWN and path.suffix not in _DERIVED
    }


def _check_names(argument: str, names: Iterable[str], taken: Container[str] = ()) -> None:
    for name in names:
        ours = name in {CONFIG_FILE, WEIGHTS_FILE} or name in taken
        if ours or name in {"", ".", ".."} or "/" in name or "\0" in name:
            raise ArgumentError(f"{argument}: {name!r} is not a plain file name of its own")


def _fill(
    directory: Path,
    config: Mapping[str, Any],
    tensors: Iterable[Tensor],
    extra_files: Mapping[str, bytes | Path],
) -> None:
    text = (json.dumps(config, indent=2, allow_nan=False) + "\n").encode()
    if len(text) > MAX_CONFIG_BYTES:
        raise ModelFormatError(CONFIG_FILE, "", f"would hold {len(text)} bytes; at most {MAX_CONFIG_BYTES}")
    weights = _WeightsWriter(parse_model_config(text))
    write_file(directory / CONFIG_FILE, text)
    for name, content in extra_files.items():
        write_file(directory / name, content)
    fill_file(directory / WEIGHTS_FILE, lambda file: weights.write(file, tensors))


class _WeightsWriter:
    """Writes model.safetensors from tensors that arrive one at a time.

    The header stands first but is known last, so room is left for the longest that the config allows; spaces
    fill what is not used. Every tensor starts at a multiple of its element size: those whose size would shift
    the next one off its place wait for the end.
    """

    def __init__(self, config: ModelConfig) -> None:
        layout = layout_of(config)
        self._names = set(layout.vectors)
        longest: dict[str, tuple[str, tuple[int, ...]]] = {}
        for name, size in layout.vectors.items():
            longest[name] = ("F32", (size,))
        for name, (size, _bound) in layout.ids.items():
            longest[name] = ("I32", (size,))
        self._names.update(layout.ids)
        for name, (rows, cols) in layout.matrices.items():
            for kind in ("f32", "q8", "q4"):
                self._names.update(parts_of(name, kind, rows, cols))
            longest.update(parts_of(name, "q4", rows, cols))
        bound = 4 * (
            sum(rows * cols for rows, cols in layout.matrices.values())
            + sum(layout.vectors.values())
            + sum(size for size, _bound in layout.ids.values())
        )
        widest = {name: StoredTensor(*tensor, bound, bound) for name, tensor in longest.items()}
        start = LENGTH_BYTES + len(encode_header(widest))
        self._data_start = start + -start % 64
        self._given: set[str] = set()
        self._stored: dict[str, StoredTensor] = {}
        self._cursor = 0

    def write(self, file: BinaryIO, tensors: Iterable[Tensor]) -> None:
        """Write the whole file."""
        file.seek(self._data_start)
        waiting = []
        for name, dtype, shape, buffer in tensors:
            data = self._checked(name, dtype, shape, buffer)
            if data.nbytes % _WIDEST_ELEMENT == 0:
                self._append(file, name, dtype, shape, data)
            else:
                waiting.append((name, dtype, shape, bytes(data)))
        for name, dtype, shape, held in sorted(waiting, key=lambda tensor: -DTYPE_BYTES[tensor[1]]):
            self._append(file, name, dtype, shape, memoryview(held))
        header = encode_header(self._stored)
        room = self._data_start - LENGTH_BYTES
        if len(header) > room:
            raise ModelFormatError(WEIGHTS_FILE, "header", "holds more tensors than config.json asks for")
        file.seek(0)
        file.write(room.to_bytes(LENGTH_BYTES, "little") + header.ljust(room))

    def _checked(self, name: str, dtype: str, shape: Sequence[int], buffer: Any) -> memoryview:
        if name not in self._names:
            raise ModelFormatError(
                WEIGHTS_FILE, name, "is not a tensor of this model; remove it or correct config.json"
            )
        if name in self._given:
            raise ModelFormatError(WEIGHTS_FILE, name, "was given twice")
        if dtype not in DTYPE_BYTES:
            raise ArgumentError(f"tensors: {name} has dtype {dtype}; expected {', '.join(DTYPE_BYTES)}")
        self._given.add(name)
        data = memoryview(buffer).cast("B")
        needed = math.prod(shape) * DTYPE_BYTES[dtype]
        if data.nbytes != needed:
            raise ArgumentError(
                f"tensors: {name} has {data.nbytes} bytes; {dtype} {list(shape)} needs {needed}"
            )
        return data

    def _append(self, file: BinaryIO, name: str, dtype: str, shape: Sequence[int], data: memoryview) -> None:
        file.write(data)
        end = self._cursor + data.nbytes
        self._stored[name] = StoredTensor(dtype, tuple(int(size) for size in shape), self._cursor, end)
        self._cursor = end
