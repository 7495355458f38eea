"""Tensors of a GGUF file -> stored matrices of a model directory.

Q8_0 becomes q8, Q4_1 and Q4_0 become q4, value for value: Q4_0's d * (q - 8) is scale d and minimum -8 d,
which float16 holds exactly (only the sign of a zero may differ). F32 and BF16 stay as they are. F16 has no
kind of its own: it becomes bf16 if every F16 weight of the file fits, else f32; both are exact. Every other
type is dequantised by the gguf package and quantised again: to q4 below 5 bits a weight, else to q8.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mtp_rt.convert.gguf_file import GgufFile, GgufTensor
from mtp_rt.convert.quantize import BLOCK, Parts, from_bf16, is_exact_in_bf16, pack_nibbles, quantize
from mtp_rt.errors import ArgumentError, ModelFormatError, UnsupportedError
from mtp_rt.model_dir import Kind

_DIRECT: dict[str, Kind] = {"F32": "f32", "BF16": "bf16", "Q8_0": "q8", "Q4_0": "q4", "Q4_1": "q4"}


def own_kind(tensor: GgufTensor, f16_kind: Kind) -> Kind:
    """Return the kind a tensor has when nothing else is asked for."""
    if tensor.type_name in _DIRECT:
        return _DIRECT[tensor.type_name]
    if tensor.type_name == "F16":
        return f16_kind
    bits = 8 * tensor.nbytes / np.prod(tensor.shape, dtype=np.float64)
    return "q4" if bits < 5 else "q8"


def f16_kind(file: GgufFile, tensors: Iterable[GgufTensor]) -> Kind:
    """Return "bf16" if every value of the F16 tensors is exact in bfloat16, else "f32"."""
    halves = (tensor for tensor in tensors if tensor.type_name == "F16")
    return "bf16" if all(is_exact_in_bf16(read_floats(file, tensor)) for tensor in halves) else "f32"


def read_matrix(file: GgufFile, tensor: GgufTensor, kind: Kind) -> Parts:
    """Return a [rows, cols] tensor in the wanted kind; carried over where its own blocks already have it.

    Raises:
        ModelFormatError: NaN or infinity among the weights or scales.
        UnsupportedError: a type the gguf package cannot dequantise.
    """
    if kind not in {"q8", "q4"} or _DIRECT.get(tensor.type_name) != kind:
        try:
            return quantize(read_floats(file, tensor), kind)
        except ArgumentError as error:
            problem = str(error).removeprefix("matrix: ")
            raise ModelFormatError(str(file.path), tensor.name, problem) from error
    parts = _carry_q8_0(file, tensor) if kind == "q8" else _carry_q4(file, tensor)
    if not all(np.isfinite(parts[suffix]).all() for suffix in parts.keys() & {".scale", ".min"}):
        raise ModelFormatError(str(file.path), tensor.name, "holds NaN or infinity")
    return parts


def read_floats(file: GgufFile, tensor: GgufTensor) -> NDArray[np.float32]:
    """Return a tensor's values as float32 of its shape."""
    data = file.data(tensor)
    if tensor.type_name == "F32":
        return data.view("<f4").reshape(tensor.shape)
    if tensor.type_name == "F16":
        return data.view("<f2").astype(np.float32).reshape(tensor.shape)
    if tensor.type_name == "BF16":
        return from_bf16(data.view("<u2")).reshape(tensor.shape)
    import gguf

    rows = data.reshape(*tensor.shape[:-1], -1)
    try:
        values = gguf.dequantize(rows, gguf.GGMLQuantizationType[tensor.type_name])
    except NotImplementedError as error:
        raise UnsupportedError(
            f"{file.path}: {tensor.name}: type {tensor.type_name} cannot be dequantised by the gguf package"
        ) from error
    return np.asarray(values, np.float32).reshape(tensor.shape)


def _carry_q8_0(file: GgufFile, tensor: GgufTensor) -> Parts:
    rows, cols = tensor.shape
    blocks = file.data(tensor).reshape(rows, cols // BLOCK, 2 + BLOCK)
    codes = np.ascontiguousarray(blocks[:, :, 2:]).view(np.int8)
    return {".q8": codes.reshape(rows, cols), ".scale": _halves(blocks, 0)}


def _carry_q4(file: GgufFile, tensor: GgufTensor) -> Parts:
    """Q4_1 and Q4_0 blocks: byte j holds element j (low nibble) and element j + 16 (high nibble)."""
    rows, cols = tensor.shape
    header = 4 if tensor.type_name == "Q4_1" else 2
    blocks = file.data(tensor).reshape(rows, cols // BLOCK, header + BLOCK // 2)
    nibbles = blocks[:, :, header:]
    packed: NDArray[np.uint8] = np.empty((rows, cols // BLOCK, BLOCK // 2), np.uint8)
    packed[:, :, : BLOCK // 4] = pack_nibbles(nibbles & np.uint8(15))
    packed[:, :, BLOCK // 4 :] = pack_nibbles(nibbles >> np.uint8(4))
    scale = _halves(blocks, 0)
    with np.errstate(over="ignore"):  # an overflow becomes infinity, which the caller refuses by name
        minimum = _halves(blocks, 2) if tensor.type_name == "Q4_1" else scale * np.float16(-8)
    return {".q4": packed.reshape(rows, cols // 2), ".scale": scale, ".min": minimum}


def _halves(blocks: NDArray[np.uint8], at: int) -> NDArray[np.float16]:
    """Return the float16 that starts at byte `at` of every block."""
    return np.ascontiguousarray(blocks[:, :, at : at + 2]).view("<f2")[:, :, 0]
