"""Matrix kernels on raw tiles against numpy in float64, and the same bits on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mtp_rt import _core_testing as native
from mtp_rt._core import available_isas

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
ISAS = available_isas()
KINDS = ("q4", "q8", "q8_coarse")
PARAMETERS = {"q4": 2, "q8": 1, "q8_coarse": 1}  # f16 numbers per output and block


def tiles_of(kind: str, nibbles: Bytes, parameters: NDArray[np.float16]) -> Bytes:
    """Return tiles [n, bytes]: nibbles [n, 16 outputs, 32 inputs], then parameters [n, count, 16].

    Byte 4 * output + i of step j holds inputs 4 * j + i (low) and 16 + 4 * j + i (high).
    """
    n = len(nibbles)
    halves = nibbles.reshape(n, 16, 2, 4, 4).transpose(2, 0, 3, 1, 4)  # half, tile, step, output, input
    packed = (halves[0] | (halves[1] << 4)).reshape(n, 256)
    tail = np.ascontiguousarray(parameters).view(np.uint8).reshape(n, -1)
    return np.ascontiguousarray(np.concatenate([packed, tail], axis=1))


def expected(kind: str, upper: Bytes, lower: Bytes, parameters: NDArray[np.float16], x: Floats) -> Floats:
    """The oracle: weights and activations as their integers stand for, [rows, 32]."""
    blocks = x.reshape(len(x), -1, 32).astype(np.float64)
    scale = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    codes = np.rint(blocks / np.where(scale > 0, scale, 1)) * scale
    f = parameters.astype(np.float64)
    if kind == "q4":
        weights = upper * f[:, 0, :, None] + f[:, 1, :, None]
    else:
        low = lower if kind == "q8" else np.full(lower.shape, 7.5)
        weights = (16.0 * upper + low - 128) * f[:, 0, :, None]
    by_block = weights.reshape(2, -1, 16, 32)  # group, block, output, input
    return np.einsum("rbi,gboi->rgo", codes, by_block).reshape(len(x), 32)


def check(kind: str, upper: Bytes, lower: Bytes, parameters: NDArray[np.float16], x: Floats) -> None:
    """Every instruction set gives the oracle's numbers, and all of them the same bits, whatever the rows."""
    tiles = tiles_of(kind, upper, parameters)
    low = tiles_of(kind, lower, np.zeros((len(lower), 0, 16), np.float16))
    found = {isa: np.asarray(native.kernel_dot(isa, kind, tiles, low, x), np.float32) for isa in ISAS}
    exact = expected(kind, upper, lower, parameters, x)
    assert np.allclose(found[ISAS[0]], exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())
    for isa in ISAS:
        assert found[isa].tobytes() == found[ISAS[0]].tobytes(), isa
        alone = native.kernel_dot(isa, kind, tiles, low, x[-1:])
        assert np.asarray(alone, np.float32).tobytes() == found[isa][-1:].tobytes(), isa


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 20), blocks=st.integers(1, 6))
def test_products(kind: str, seed: int, rows: int, blocks: int) -> None:
    """Random weights and rows of unequal size."""
    rng = np.random.default_rng(seed)
    upper, lower = rng.integers(0, 16, (2, 2 * blocks, 16, 32)).astype(np.uint8)
    parameters = rng.uniform(0.001, 0.1, (2 * blocks, PARAMETERS[kind], 16)).astype(np.float16)
    x = rng.standard_normal((rows, 32 * blocks)) * np.exp(rng.standard_normal((rows, 1)))
    check(kind, upper, lower, parameters, x.astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nibble", [0, 15])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_greatest_sums(kind: str, nibble: int, sign: int) -> None:
    """Every weight and every activation at its end, all of one sign: no sum may run over or saturate."""
    upper = np.full((4, 16, 32), nibble, np.uint8)
    parameters = np.full((4, PARAMETERS[kind], 16), 1.0, np.float16)
    check(kind, upper, upper, parameters, np.full((9, 64), sign, np.float32))
