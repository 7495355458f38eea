"""Reads the header of a GGUF file and hands out its tensors' bytes.

The file is untrusted: every count, length and offset is compared with the real file size before anything is
allocated or followed, so a damaged file gives one clear error and never more work than its size deserves.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import itertools
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ModelFormatError, UnsupportedError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_KEY_BYTES = 65_535  # the format's own limit
_MAX_NAME_BYTES = 256
_MAX_DIMENSIONS = 4
_MAX_ELEMENTS = 1 << 40
_ALIGNMENTS = [1 << bits for bits in range(21)]
_MIN_ENTRY_BYTES = {"metadata": 13, "tensor": 32}  # the shortest entry each list can hold


@dataclass(frozen=True)
class GgufTensor:
    """Where a tensor lies. `shape` is outermost first: [rows, cols] of a matrix, [size] of a vector."""

    name: str
    type_name: str  # "F32", "Q4_1", ... as gguf names them
    shape: tuple[int, ...]
    offset: int  # from the start of the file, in bytes
    nbytes: int


class GgufFile:
    """A checked, memory-mapped GGUF file; use as a context manager.

    Attributes:
        path: the file.
        metadata: key -> bool, int, float, str, a list of str, or a numpy array of scalars.
        tensors: name -> GgufTensor, in file order.
    """

    def __init__(self, path: Path) -> None:
        """Open and check the header.

        Raises:
            ModelFormatError: the file is missing, truncated or inconsistent; names the field.
            UnsupportedError: an old or big-endian version, or a tensor type unknown to the gguf package.
        """
        self.path = path
        try:
            with path.open("rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            reason = error.strerror if isinstance(error, OSError) else "the file is empty"
            raise ModelFormatError(str(path), "", f"cannot be read: {reason}") from error
        try:
            header = _HeaderReader(path, self._map)
            self.metadata = header.metadata()
            self.tensors = header.tensors(self.metadata)
        except BaseException:
            self._map.close()
            raise

    def data(self, tensor: GgufTensor) -> NDArray[np.uint8]:
        """Return the tensor's bytes as a copy [nbytes]; nothing keeps the file mapped afterwards."""
        return np.frombuffer(self._map[tensor.offset : tensor.offset + tensor.nbytes], np.uint8)

    def __enter__(self) -> GgufFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._map.close()


class _HeaderReader:
    """A cursor over the header; every read is checked against the end of the file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = str(path)
        self._data = data
        self._size = len(data)
        self._at = 0
        if data[:4] != b"GGUF":
            raise self._error("magic", f"is {bytes(data[:4])!r}, not b'GGUF': this is no GGUF file")
        self._at = 4
        version = self._scalar("version", "I")
        if version not in {2, 3}:
            what = "big-endian GGUF is" if version & 0xFFFF == 0 else f"GGUF version {version} is"
            raise UnsupportedError(
                f"{path}: version: {what} not supported; supported: 2 and 3, little-endian"
            )
        self._tensor_count = self._count("tensor count", _MIN_ENTRY_BYTES["tensor"])
        self._metadata_count = self._count("metadata count", _MIN_ENTRY_BYTES["metadata"])

    def metadata(self) -> dict[str, Any]:
        """Read all key-value pairs."""
        values: dict[str, Any] = {}
        for index in range(self._metadata_count):
            key = self._string(f"metadata key {index}", _MAX_KEY_BYTES)
            if key in values:
                raise self._error(key, "occurs twice in the metadata")
            values[key] = self._value(key)
        return values

    def tensors(self, metadata: dict[str, Any]) -> dict[str, GgufTensor]:
        """Read the tensor list and place every tensor in the file."""
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        types = {int(kind): (kind.name, *GGML_QUANT_SIZES[kind]) for kind in GGMLQuantizationType}
        entries = [self._tensor_entry(index, types) for index in range(self._tensor_count)]
        alignment = metadata.get("general.alignment", 32)
        if alignment not in _ALIGNMENTS:
            problem = f"is {alignment!r}, not a power of two up to {_ALIGNMENTS[-1]}"
            raise self._error("general.alignment", problem)
        start = -(-self._at // alignment) * alignment
        tensors: dict[str, GgufTensor] = {}
        for name, type_name, shape, offset, nbytes in entries:
            if name in tensors:
                raise self._error(name, "occurs twice in the tensor list")
            if offset % alignment:
                raise self._error(name, f"offset {offset} is not a multiple of the alignment {alignment}")
            if start + offset + nbytes > self._size:
                raise self._error(
                    name,
                    f"needs bytes {start + offset} to {start + offset + nbytes}, "
                    f"but the file ends at {self._size}: it is truncated; fetch it again",
                )
            tensors[name] = GgufTensor(name, type_name, shape, start + offset, nbytes)
        self._refuse_overlaps(list(tensors.values()))
        return tensors

    def _tensor_entry(
        self, index: int, types: dict[int, tuple[str, int, int]]
    ) -> tuple[str, str, tuple[int, ...], int, int]:
        name = self._string(f"tensor name {index}", _MAX_NAME_BYTES)
        dimensions = self._scalar(name, "I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise self._error(name, f"has {dimensions} dimensions, not 1 to {_MAX_DIMENSIONS}")
        shape = tuple(self._scalar(name, "Q") for _ in range(dimensions))  # innermost first in the file
        elements = 1
        for extent in shape:
            elements *= extent
            if not 0 < elements <= _MAX_ELEMENTS:
                raise self._error(name, f"has shape {shape[::-1]}, not 1 to {_MAX_ELEMENTS} elements")
        type_id = self._scalar(name, "I")
        if type_id not in types:
            raise UnsupportedError(
                f"{self._path}: {name}: tensor type {type_id} is unknown to the gguf package"
            )
        type_name, block, block_bytes = types[type_id]
        if shape[0] % block:
            raise self._error(
                name, f"has rows of {shape[0]} elements, not a multiple of {type_name}'s {block}"
            )
        return name, type_name, shape[::-1], self._scalar(name, "Q"), elements // block * block_bytes

    def _refuse_overlaps(self, tensors: list[GgufTensor]) -> None:
        tensors.sort(key=lambda tensor: tensor.offset)
        for before, after in itertools.pairwise(tensors):
            if before.offset + before.nbytes > after.offset:
                raise self._error(after.name, f"overlaps {before.name} in the file")

    def _value(self, key: str) -> Any:
        kind = self._scalar(key, "I")
        if kind == _STRING:
            return self._string(key, self._size)
        if kind == _ARRAY:
            return self._array(key)
        return self._scalar(key, self._format(key, kind))

    def _array(self, key: str) -> list[str] | NDArray[Any]:
        kind = self._scalar(key, "I")
        if kind == _ARRAY:
            raise UnsupportedError(f"{self._path}: {key}: arrays of arrays are not supported")
        if kind == _STRING:
            count = self._count(key, 8)
            return [self._string(key, self._size) for _ in range(count)]
        code = self._format(key, kind)
        dtype = np.dtype(f"<{code}")
        nbytes = self._count(key, dtype.itemsize) * dtype.itemsize
        self._at += nbytes
        return np.frombuffer(self._data[self._at - nbytes : self._at], dtype)

    def _format(self, key: str, kind: int) -> str:
        if kind not in _SCALARS:
            raise self._error(key, f"has value type {kind}, which GGUF does not define")
        return _SCALARS[kind]

    def _count(self, field: str, entry_bytes: int) -> int:
        count: int = self._scalar(field, "Q")
        if count > (self._size - self._at) // entry_bytes:
            raise self._error(
                field, f"claims {count} entries, more than the file can hold: truncated or damaged"
            )
        return count

    def _string(self, field: str, limit: int) -> str:
        length = self._scalar(field, "Q")
        if length > limit:
            raise self._error(field, f"claims a string of {length} bytes; at most {limit} are allowed")
        self._require(field, length)
        self._at += length
        try:
            return self._data[self._at - length : self._at].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._error(field, "is not valid UTF-8") from error

    def _scalar(self, field: str, code: str) -> Any:
        width = struct.calcsize(code)
        self._require(field, width)
        self._at += width
        return struct.unpack_from(f"<{code}", self._data, self._at - width)[0]

    def _require(self, field: str, nbytes: int) -> None:
        if nbytes > self._size - self._at:
            raise self._error(
                field,
                f"needs {nbytes} bytes at {self._at}, but the file ends at {self._size}: it is truncated",
            )

    def _error(self, field: str, problem: str) -> ModelFormatError:
        return ModelFormatError(self._path, field, problem)
