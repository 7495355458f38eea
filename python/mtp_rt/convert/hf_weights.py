"""The tensors of a Hugging Face model folder: one safetensors file, or shards with an index."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtp_rt.convert.quantize import Parts, from_bf16, is_exact_in_bf16, quantize
from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.model_dir import Kind, StoredTensor
from mtp_rt.model_dir.json_text import parse_json_object
from mtp_rt.model_dir.safetensors import LENGTH_BYTES, header_length, parse_header

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_MAX_INDEX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class HfTensor:
    """A tensor and the mapped file that holds it."""

    name: str
    file: str
    stored: StoredTensor
    data: mmap.mmap


class HfWeights:
    """The checked, memory-mapped tensors of a folder; use as a context manager.

    Attributes:
        tensors: name -> HfTensor.
    """

    def __init__(self, folder: Path) -> None:
        """Map every weights file and check its header.

        Raises:
            ModelFormatError: a file is missing or damaged, or the index names what is not there.
        """
        self.tensors: dict[str, HfTensor] = {}
        self._open = ExitStack()
        try:
            for file in _weight_files(folder):
                self._add(folder / file)
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> HfWeights:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def _add(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                data = self._open.enter_context(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            reason = error.strerror if isinstance(error, OSError) else "the file is empty"
            raise ModelFormatError(str(path), "", f"cannot be read: {reason}") from error
        length = header_length(data[:LENGTH_BYTES], len(data), str(path))
        header = parse_header(data[LENGTH_BYTES : LENGTH_BYTES + length], len(data), str(path))
        for name, stored in header.items():
            if name in self.tensors:
                raise ModelFormatError(str(path), name, f"is also in {self.tensors[name].file}")
            self.tensors[name] = HfTensor(name, str(path), stored, data)


def own_kinds(tensors: Iterable[HfTensor]) -> dict[str, Kind]:
    """Return name -> kind when nothing else is asked for: the dtype's own.

    F16 has no kind of its own: it becomes bf16 if every F16 weight fits, else f32; both are exact.
    """
    listed = list(tensors)
    halves = [tensor for tensor in listed if tensor.stored.dtype == "F16"]
    half_kind: Kind = "bf16" if all(is_exact_in_bf16(read_floats(tensor)) for tensor in halves) else "f32"
    kinds: dict[str, Kind] = {"BF16": "bf16", "F16": half_kind}
    return {tensor.name: kinds.get(tensor.stored.dtype, "f32") for tensor in listed}


def read_floats(tensor: HfTensor) -> NDArray[np.float32]:
    """Return a tensor's values as float32 of its shape.

    Raises:
        ModelFormatError: it does not hold floating-point numbers.
    """
    raw = tensor.data[tensor.stored.begin : tensor.stored.end]
    dtype = tensor.stored.dtype
    if dtype == "BF16":
        values = from_bf16(np.frombuffer(raw, "<u2"))
    elif dtype in {"F32", "F16"}:
        values = np.frombuffer(raw, "<f4" if dtype == "F32" else "<f2").astype(np.float32, copy=False)
    else:
        raise ModelFormatError(tensor.file, tensor.name, f"has dtype {dtype}; expected F32, F16 or BF16")
    return values.reshape(tensor.stored.shape)


def read_parts(tensor: HfTensor, kind: Kind) -> Parts:
    """Return a tensor's stored form; rounding to a kind that already has the values changes nothing.

    Raises:
        ModelFormatError: NaN, infinity, or values beyond the kind's range.
    """
    values = read_floats(tensor)
    try:
        # A vector is one row here; its parts hold the same bytes.
        return quantize(values.reshape(-1, values.shape[-1]), kind)
    except ArgumentError as error:
        raise ModelFormatError(tensor.file, tensor.name, str(error).removeprefix("matrix: ")) from error


def _weight_files(folder: Path) -> list[str]:
    if (folder / SINGLE_FILE).exists():
        return [SINGLE_FILE]
    index = folder / INDEX_FILE
    if not index.exists():
        raise ModelFormatError(
            str(folder), "", f"holds neither {SINGLE_FILE} nor {INDEX_FILE}; save the model as safetensors"
        )
    if index.stat().st_size > _MAX_INDEX_BYTES:
        raise ModelFormatError(str(index), "", f"is larger than {_MAX_INDEX_BYTES} bytes")
    weight_map = parse_json_object(index.read_bytes(), str(index), "").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelFormatError(str(index), "weight_map", "is missing or no object of tensor names")
    for name, file in weight_map.items():
        if not isinstance(file, str) or "/" in file or "\0" in file or file in {"", ".", ".."}:
            raise ModelFormatError(str(index), name, "is not mapped to a plain file name")
    return sorted(set(weight_map.values()))
