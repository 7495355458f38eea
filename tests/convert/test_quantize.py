"""The quantisers against their definition, error bounds and the gguf package's own quantisers."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mtp_rt.convert.quantize import (
    dequantize,
    from_bf16,
    pack_nibbles,
    quantize,
    to_bf16,
    unpack_nibbles,
)
from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import Kind

QUANTISED: list[Kind] = ["q8", "q4"]


def matrices(limit: float = 1e3) -> st.SearchStrategy[NDArray[np.float32]]:
    """[rows, cols] with extremes, zeros, constants and tiny numbers."""
    shape = st.tuples(st.integers(1, 4), st.sampled_from([32, 64, 96]))
    value = st.floats(-limit, limit, width=32)
    return shape.flatmap(lambda size: hnp.arrays(np.float32, size, elements=value, fill=value))


def normal(rows: int = 64, cols: int = 256, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.02, (rows, cols)).astype(np.float32)


def squared_error(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    return float(np.square(x.astype(np.float64) - y).sum())


@given(matrices())
def test_q8_is_within_half_a_step(x: NDArray[np.float32]) -> None:
    peak = np.repeat(np.abs(x.reshape(len(x), -1, 32)).max(axis=2).astype(np.float64), 32, axis=1)
    # Half a step of peak / 127, the float16 rounding of the scale over 127 steps, and of the smallest scales.
    bound = peak * (0.5 / 127 + 2**-11) + 127 * 2**-24
    assert (np.abs(dequantize(quantize(x, "q8"), "q8") - x) <= bound * 1.001).all()


@given(matrices())
def test_q4_is_never_worse_than_plain_rounding(x: NDArray[np.float32]) -> None:
    """Oracle: 15 equal steps from the block's minimum to its maximum, in float16 like the stored numbers."""
    blocks = x.reshape(-1, 32)
    minimum = blocks.min(axis=1).astype(np.float16).astype(np.float32)[:, None]
    scale = (np.ptp(blocks, axis=1) / np.float32(15)).astype(np.float16).astype(np.float32)[:, None]
    steps = np.divide(blocks - minimum, scale, out=np.zeros_like(blocks), where=scale != 0)
    plain = (scale * np.clip(np.rint(steps), 0, 15) + minimum).reshape(x.shape)
    ours = squared_error(x, dequantize(quantize(x, "q4"), "q4"))
    assert ours <= squared_error(x, plain) * (1 + 1e-4) + 1e-12


def test_q4_beats_the_plain_4_bit_quantiser_of_gguf() -> None:
    x = normal()
    kind = gguf.GGMLQuantizationType.Q4_1
    theirs = squared_error(x, gguf.dequantize(gguf.quantize(x, kind), kind))
    assert squared_error(x, dequantize(quantize(x, "q4"), "q4")) < 0.9 * theirs


@given(matrices())
def test_symmetric_q4_is_never_worse_than_plain_rounding(x: NDArray[np.float32]) -> None:
    """Oracle: 7 equal steps from 0 to the block's largest value, in float16 like the stored scale."""
    blocks = x.reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1) / np.float32(7)).astype(np.float16).astype(np.float32)[:, None]
    steps = np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale != 0)
    plain = (scale * np.clip(np.rint(steps), -8, 7)).reshape(x.shape)
    parts = quantize(x, "q4", symmetric=True)
    np.testing.assert_array_equal(parts[".min"].astype(np.float32), -8 * parts[".scale"].astype(np.float32))
    assert squared_error(x, dequantize(parts, "q4")) <= squared_error(x, plain) * (1 + 1e-4) + 1e-12


def test_symmetric_q4_holds_what_it_can_and_beats_the_quantiser_of_gguf() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(-8, 8, (8, 4, 32))
    codes[:, :, 0] = -8
    held = (codes * np.float32(2.0) ** rng.integers(-8, 0, (8, 4, 1))).astype(np.float32).reshape(8, 128)
    np.testing.assert_array_equal(dequantize(quantize(held, "q4", symmetric=True), "q4"), held)
    x, kind = normal(), gguf.GGMLQuantizationType.Q4_0
    theirs = squared_error(x, gguf.dequantize(gguf.quantize(x, kind), kind))
    ours = squared_error(x, dequantize(quantize(x, "q4", symmetric=True), "q4"))
    assert squared_error(x, dequantize(quantize(x, "q4"), "q4")) < ours < theirs


@pytest.mark.parametrize("kind", QUANTISED)
def test_what_a_kind_can_hold_comes_back_exactly(kind: Kind) -> None:
    """Values made from random codes, scales and minima survive quantisation unchanged."""
    rng = np.random.default_rng(1)
    codes = rng.integers(-127, 128, (8, 4, 32)) if kind == "q8" else rng.integers(0, 16, (8, 4, 32))
    codes[:, :, 0], codes[:, :, 1] = (-127, 127) if kind == "q8" else (0, 15)
    scale = np.float32(2.0) ** rng.integers(-8, 0, (8, 4, 1))
    minimum = 0 if kind == "q8" else scale * rng.integers(-20, 5, (8, 4, 1))
    x = (codes * scale + minimum).astype(np.float32).reshape(8, 128)
    np.testing.assert_array_equal(dequantize(quantize(x, kind), kind), x)


@pytest.mark.parametrize("kind", ["f32", "bf16", "q8", "q4"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.375])
def test_constant_blocks_are_exact(kind: Kind, value: float) -> None:
    x = np.full((2, 64), value, np.float32)
    if kind == "q8":
        np.testing.assert_allclose(dequantize(quantize(x, kind), kind), x, rtol=2**-11)
    else:
        np.testing.assert_array_equal(dequantize(quantize(x, kind), kind), x)


@given(hnp.arrays(np.uint32, 64, elements=st.integers(0, 2**32 - 1)))
def test_bf16_rounds_to_nearest_even_like_torch(bits: NDArray[np.uint32]) -> None:
    x = bits.view(np.float32)
    x = x[np.isfinite(x) & (np.abs(x) < 3e38)]
    theirs = torch.from_numpy(x).to(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(from_bf16(to_bf16(x)), theirs)


@given(hnp.arrays(np.uint8, (3, 32), elements=st.integers(0, 15)))
def test_nibbles_go_low_then_high(codes: NDArray[np.uint8]) -> None:
    packed = pack_nibbles(codes)
    assert all(
        packed[r, j] == codes[r, 2 * j] + 16 * codes[r, 2 * j + 1] for r in range(3) for j in range(16)
    )
    np.testing.assert_array_equal(unpack_nibbles(packed), codes)


@pytest.mark.parametrize("kind", QUANTISED)
def test_blocks_are_independent(kind: Kind) -> None:
    """A matrix quantises like its rows one by one: chunking leaves no trace."""
    x = normal(rows=600, cols=512)
    whole = quantize(x, kind)
    for row in (0, 255, 511, 512, 599):
        for suffix, part in quantize(x[row : row + 1], kind).items():
            np.testing.assert_array_equal(whole[suffix][row], part[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["f32", "bf16", "q8", "q4"])
def test_refuses_what_is_not_finite(kind: Kind, bad: float) -> None:
    x = normal(2, 32)
    x[1, 7] = bad
    with pytest.raises(ArgumentError, match="NaN or infinity"):
        quantize(x, kind)


def test_refuses_what_a_kind_cannot_hold() -> None:
    x = np.full((1, 32), 1e38, np.float32)
    for kind in QUANTISED:
        with pytest.raises(ArgumentError, match="float16"):
            quantize(x, kind)
    with pytest.raises(ArgumentError, match="multiple of 32"):
        quantize(x[:, :31], "q8")
    with pytest.raises(ArgumentError, match="bfloat16"):
        quantize(np.full((1, 32), np.finfo(np.float32).max, np.float32), "bf16")
