"""Block quantisation of weight matrices: the four kinds of docs/model_dir.md, in numpy.

A matrix is [rows, cols] with cols a multiple of 32. Its stored form is a `Parts`: suffix of the tensor name
to array, as {".q8": int8 [rows, cols], ".scale": float16 [rows, cols / 32]}. bfloat16 is held as uint16 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import Kind, parts_of

Parts = dict[str, NDArray[Any]]
Quantizer = Callable[[NDArray[np.float32]], Parts]  # of blocks [n, 32]

BLOCK = 32  # consecutive inputs that share a scale (and a minimum)

_CHUNK_BLOCKS = 8192  # blocks quantised at a time: 1 MiB of float32, so the search below stays in cache
_F16_MAX = float(np.finfo(np.float16).max)
# Ranges tried for a q4 block, as the number of steps between its smallest and largest value: fewer than 15
# widen the steps, more clip the extremes. 15 comes first, so the result is never worse than plain rounding.
_Q4_STEPS = (15.0, 14.3, 15.6, 16.4)
_Q4_REACH = (7.0, 7.5, 8.0, 8.6)  # the same of a symmetric block: steps between 0 and its extreme


def quantize(matrix: NDArray[np.float32], kind: Kind, *, symmetric: bool = False) -> Parts:
    """Return the stored form of a float32 [rows, cols] matrix.

    q8 rounds to the nearest step of max|block| / 127. q4 searches a few ranges per block and refits scale and
    minimum by least squares, all judged after rounding to float16, so its squared error is at most that of
    plain min/max rounding.

    Args:
        matrix: float32 [rows, cols].
        kind: how to store it.
        symmetric: of q4: every minimum is -8 scale, so that 0 is code 8. Less exact, by one number a block.

    Raises:
        ArgumentError: cols is no multiple of 32, a value is not finite, or a scale lies beyond float16.
    """
    if matrix.ndim != 2 or matrix.shape[1] % BLOCK:
        raise ArgumentError(f"matrix: shape {matrix.shape} is not [rows, a multiple of {BLOCK}]")
    matrix = np.ascontiguousarray(matrix, np.float32)
    if not np.isfinite(matrix).all():
        raise ArgumentError("matrix: holds NaN or infinity, which no kind can store")
    if kind == "f32":
        return {"": matrix}
    if kind == "bf16":
        return {"": to_bf16(matrix)}
    if kind == "q8":
        return _by_chunks(matrix, kind, _quantize_q8)
    return _by_chunks(matrix, kind, _quantize_q4_symmetric if symmetric else _quantize_q4)


def dequantize(parts: Parts, kind: Kind) -> NDArray[np.float32]:
    """Return the float32 [rows, cols] values of a stored matrix, as the specification defines them."""
    if kind == "f32":
        return np.asarray(parts[""], np.float32)
    if kind == "bf16":
        return from_bf16(parts[""])
    codes = parts[".q8"] if kind == "q8" else unpack_nibbles(parts[".q4"])
    rows, cols = codes.shape
    values = codes.reshape(rows, cols // BLOCK, BLOCK).astype(np.float32)
    values *= parts[".scale"].astype(np.float32)[:, :, None]
    if kind == "q4":
        values += parts[".min"].astype(np.float32)[:, :, None]
    return values.reshape(rows, cols)


def to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round finite float32 values to bfloat16 bits, ties to even.

    Raises:
        ArgumentError: a value rounds to infinity.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded: NDArray[np.uint16] = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    if bool(((rounded & 0x7F80) == 0x7F80).any()):
        raise ArgumentError("matrix: holds a value beyond the range of bfloat16; keep it as f32")
    return rounded


def from_bf16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the float32 values of bfloat16 bits."""
    wide: NDArray[np.uint32] = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def is_exact_in_bf16(values: NDArray[np.float32]) -> bool:
    """Return whether every value is a bfloat16 number."""
    return not bool((np.ascontiguousarray(values, np.float32).view(np.uint32) & 0xFFFF).any())


def pack_nibbles(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack codes 0..15 [..., n] into bytes [..., n / 2]: element 2j in the low nibble of byte j."""
    packed: NDArray[np.uint8] = codes[..., 0::2] | (codes[..., 1::2] << np.uint8(4))
    return packed


def unpack_nibbles(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Invert pack_nibbles."""
    codes: NDArray[np.uint8] = np.empty((*packed.shape[:-1], packed.shape[-1] * 2), np.uint8)
    codes[..., 0::2] = packed & np.uint8(15)
    codes[..., 1::2] = packed >> np.uint8(4)
    return codes


def _by_chunks(matrix: NDArray[np.float32], kind: Kind, quantizer: Quantizer) -> Parts:
    rows, cols = matrix.shape
    blocks = matrix.reshape(-1, BLOCK)
    chunks = [quantizer(blocks[at : at + _CHUNK_BLOCKS]) for at in range(0, len(blocks), _CHUNK_BLOCKS)]
    return {
        suffix: np.concatenate([chunk[suffix] for chunk in chunks]).reshape(shape)
        for suffix, (_, shape) in parts_of("", kind, rows, cols).items()
    }


def _quantize_q8(x: NDArray[np.float32]) -> Parts:
    scale = _to_f16(np.abs(x).max(axis=1) / np.float32(127))
    codes = np.rint(x * _reciprocal(scale)[:, None])
    return {".q8": np.clip(codes, -127, 127).astype(np.int8), ".scale": scale}


def _quantize_q4(x: NDArray[np.float32]) -> Parts:
    low, spread = x.min(axis=1), np.ptp(x, axis=1)
    scale, minimum = _to_f16(spread / np.float32(15)), _to_f16(low)
    codes, error = _q4_codes(x, scale, minimum)
    for steps in _Q4_STEPS:
        # Codes of this range, centred; then the scale and minimum that fit those codes best.
        step = spread / np.float32(steps)
        start = low - np.float32((15 - steps) / 2) * step
        guess = np.clip(np.rint((x - start[:, None]) * _reciprocal(step)[:, None]), 0, 15)
        candidate = _fit_line(guess, x)
        tried, tried_error = _q4_codes(x, *candidate)
        better = tried_error < error
        codes[better], error[better] = tried[better], tried_error[better]
        scale[better], minimum[better] = candidate[0][better], candidate[1][better]
    return {".q4": pack_nibbles(codes), ".scale": scale, ".min": minimum}


def _quantize_q4_symmetric(x: NDArray[np.float32]) -> Parts:
    extreme = np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)
    scale = np.zeros(len(x), np.float16)
    codes, error = _q4_codes(x, scale, scale)
    for steps in _Q4_REACH:
        # The extreme is at the end that reaches farther, at -8: the scale has the other sign.
        guess = np.clip(np.rint(x * _reciprocal(extreme / np.float32(-steps))), -8, 7)
        squares = np.einsum("ij,ij->i", guess, guess)
        candidate = _to_f16(np.einsum("ij,ij->i", guess, x) * _reciprocal(squares))
        tried, tried_error = _q4_codes(x, candidate, _zero_at_8(candidate))
        better = tried_error < error
        codes[better], error[better], scale[better] = tried[better], tried_error[better], candidate[better]
    return {".q4": pack_nibbles(codes), ".scale": scale, ".min": _zero_at_8(scale)}


def _zero_at_8(scale: NDArray[np.float16]) -> NDArray[np.float16]:
    return _to_f16(scale.astype(np.float32) * np.float32(-8))


def _q4_codes(
    x: NDArray[np.float32], scale: NDArray[np.float16], minimum: NDArray[np.float16]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the nearest codes [n, 32] for given scales and minima, and each block's squared error [n]."""
    offset = x - minimum.astype(np.float32)[:, None]
    codes = np.clip(np.rint(offset * _reciprocal(scale)[:, None]), 0, 15)
    offset -= codes * scale.astype(np.float32)[:, None]
    return codes.astype(np.uint8), np.einsum("ij,ij->i", offset, offset)


def _fit_line(
    codes: NDArray[np.float32], x: NDArray[np.float32]
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return the float16 scale and minimum [n] that minimise |scale * codes + minimum - x|^2 per block."""
    code_mean, x_mean = codes.mean(axis=1), x.mean(axis=1)
    centred = codes - code_mean[:, None]
    variance = np.einsum("ij,ij->i", centred, centred)
    slope = np.einsum("ij,ij->i", centred, x) / np.maximum(variance, np.float32(1e-12))
    return _to_f16(slope), _to_f16(x_mean - slope * code_mean)


def _to_f16(values: NDArray[np.float32]) -> NDArray[np.float16]:
    if bool((np.abs(values) > _F16_MAX).any()):
        raise ArgumentError("matrix: holds a block too large for a float16 scale; keep it as bf16 or f32")
    return values.astype(np.float16)


def _reciprocal(scale: NDArray[Any]) -> NDArray[np.float32]:
    """Return 1 / scale in float32, and 0 where the scale is 0 (a block of equal values)."""
    wide = scale.astype(np.float32)
    return np.divide(1, wide, out=np.zeros_like(wide), where=wide != 0)
