"""The safetensors format: which bytes of a file are which tensor."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir.json_text import describe, is_integer, is_printable, parse_json_object, printable

WEIGHTS_FILE = "model.safetensors"
DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I8": 1, "U8": 1}
LENGTH_BYTES = 8
_MAX_HEADER = 1 << 24  # the largest model of the specification needs 3 MiB
_MAX_NAME = 256
_MAX_DIMS = 8


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies: bytes [begin, end) of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def encode_header(tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the header's JSON for tensors whose ranges count from the start of the data, with `metadata`."""
    entries: dict[str, Any] = {"__metadata__": {"format": "mtp_rt", **(metadata or {})}}
    for name, tensor in tensors.items():
        entries[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [tensor.begin, tensor.end],
        }
    return json.dumps(entries, separators=(",", ":")).encode()


def file_start(tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return all that stands before the data of a file: the header and its length, padded to 8 bytes."""
    header = encode_header(tensors, metadata)
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(LENGTH_BYTES, "little") + header


def header_length(start: bytes, file_size: int, file: str = WEIGHTS_FILE) -> int:
    """Return the length of the header's JSON, from the first eight bytes of a file of `file_size` bytes."""
    if len(start) < LENGTH_BYTES:
        problem = f"the file has {file_size} bytes; a safetensors file has at least 8"
        raise ModelFormatError(file, "header", problem)
    (length,) = struct.unpack_from("<Q", start)
    if length > _MAX_HEADER:
        problem = (
            f"claims {length} bytes; at most {_MAX_HEADER} are allowed: "
            "not a safetensors file, or a damaged one"
        )
        raise ModelFormatError(file, "header", problem)
    if LENGTH_BYTES + length > file_size:
        problem = f"claims {length} bytes in a file of {file_size}: truncated; fetch or write the model again"
        raise ModelFormatError(file, "header", problem)
    return int(length)


def parse_header(text: bytes, file_size: int, file: str = WEIGHTS_FILE) -> dict[str, StoredTensor]:
    """Return the tensors that the header `text` describes, sorted by name.

    Every tensor lies inside the file at a multiple of its element size, its bytes are product(shape) x
    element size, and the tensors tile the data without holes or overlaps.

    Raises:
        ModelFormatError: otherwise.
    """
    return _HeaderReader(file, LENGTH_BYTES + len(text), file_size).read(text)


class _HeaderReader:
    def __init__(self, file: str, data_start: int, file_size: int) -> None:
        self._file = file
        self._data_start = data_start
        self._file_size = file_size

    def read(self, text: bytes) -> dict[str, StoredTensor]:
        if not text.startswith(b"{"):
            self._fail("header", "does not start with '{': not a safetensors file")
        header = parse_json_object(text, self._file, "header")
        tensors = {}
        for name, value in sorted(header.items()):
            if name == "__metadata__":
                if not isinstance(value, dict) or not all(isinstance(entry, str) for entry in value.values()):
                    self._fail(name, "is not an object of strings")
            else:
                tensors[name] = self._tensor(name, value)
        self._check_tiling(tensors)
        return tensors

    def _fail(self, field: str, problem: str) -> NoReturn:
        raise ModelFormatError(self._file, field, problem)

    def _tensor(self, name: str, value: Any) -> StoredTensor:
        if not 1 <= len(name) <= _MAX_NAME or not is_printable(name):
            self._fail(
                "header",
                f'names a tensor "{printable(name)}"; expected 1 to 256 printable ASCII characters',
            )
        if not isinstance(value, dict):
            self._fail(name, f"is {describe(value)}; expected an object")
        for key in value:
            if key not in {"dtype", "shape", "data_offsets"}:
                self._fail(name, f'has the unknown entry "{printable(key)}"')
        dtype = value.get("dtype")
        if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
            self._fail(name, f"has dtype {describe(dtype)}; expected F32, F16, BF16, I32, I8 or U8")
        shape = self._integers(name, value, "shape", 0, _MAX_DIMS)
        begin, end = self._integers(name, value, "data_offsets", 2, 2)
        return self._place(name, dtype, shape, begin, end)

    def _integers(self, name: str, value: dict[str, Any], key: str, least: int, most: int) -> tuple[int, ...]:
        numbers = value.get(key)
        if not isinstance(numbers, list) or not least <= len(numbers) <= most:
            self._fail(name, f"{key} is not a list of {least} to {most} integers")
        for number in numbers:
            if not is_integer(number, 0, 2**63 - 1):
                self._fail(name, f"{key} holds {describe(number)}; expected an integer from 0")
        return tuple(numbers)

    def _place(self, name: str, dtype: str, shape: tuple[int, ...], begin: int, end: int) -> StoredTensor:
        data_size = self._file_size - self._data_start
        if begin > end:
            self._fail(name, f"data_offsets run backwards: {begin} to {end}")
        if end > data_size:
            self._fail(name, f"ends at byte {end} of {data_size}: truncated; fetch or write the model again")
        size = DTYPE_BYTES[dtype]
        needed = math.prod(shape) * size
        if needed != end - begin:
            self._fail(name, f"owns {end - begin} bytes; its shape needs {needed}")
        if (self._data_start + begin) % size != 0:
            self._fail(
                name,
                f"starts at byte {self._data_start + begin} of the file, not a multiple of its element size, "
                f"{size}; write the file again with mtp-rt",
            )
        return StoredTensor(dtype, shape, self._data_start + begin, self._data_start + end)

    def _check_tiling(self, tensors: Mapping[str, StoredTensor]) -> None:
        cursor = self._data_start
        for name, tensor in sorted(tensors.items(), key=lambda entry: (entry[1].begin, entry[1].end)):
            if tensor.begin != cursor:
                overlaps = tensor.begin < cursor
                self._fail(name, "overlaps the tensor before it" if overlaps else "leaves a hole before it")
            cursor = tensor.end
        if cursor != self._file_size:
            self._fail(
                "header", f"leaves {self._file_size - cursor} bytes at the end of the file to no tensor"
            )
