"""Row kernels of the native engine against numpy, and the same bits on every instruction set.

Matrix kernels and attention have files of their own; the engine is held to account in tests/engines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy.linalg import hadamard

from mtp_rt import _core_testing as native
from mtp_rt._core import available_isas

Floats = NDArray[np.float32]
ISAS = available_isas()
SMALL = np.finfo(np.float32).tiny  # kernels run where subnormals count as zero

draws = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def units(most: float, count: int = 2) -> st.SearchStrategy[Floats]:
    """Arrays of `count` x 32 floats within [-most, most]: wide, narrow, and full of ties and zeros."""
    element = st.one_of(
        st.floats(-most, most, width=32, allow_subnormal=False),
        st.floats(-4, 4, width=32, allow_subnormal=False),
        st.integers(-128, 128).map(lambda i: i / 2),
    )
    return arrays.arrays(np.float32, 32 * count, elements=element)


def on_every_isa(kernel: str, *inputs: Any) -> list[NDArray[Any]]:
    """Return the parts of a kernel's result, after comparing every instruction set's bits."""
    results = []
    for isa in ISAS:
        found = getattr(native, kernel)(isa, *inputs)
        parts = found if isinstance(found, tuple) else (found,)
        results.append([np.asarray(part, np.float32 if _is_float(part) else np.int64) for part in parts])
    for isa, parts in zip(ISAS, results, strict=True):
        for part, expected in zip(parts, results[0], strict=True):
            assert part.tobytes() == expected.tobytes(), f"{isa} differs from {ISAS[0]}"
    return results[0]


def _is_float(part: Any) -> bool:
    return isinstance(part[0] if isinstance(part, list) else part, float)


@draws
@given(units(2.0**100))
def test_quantize(values: Floats) -> None:
    """Scale max/127; codes are x * (127 / max), ties to even, in float32."""
    codes, scale = on_every_isa("kernel_quantize", values)
    blocks = values.reshape(-1, 32)
    peak = np.abs(blocks).max(axis=1)
    inverse = np.divide(np.float32(127), peak, out=np.zeros_like(peak), where=peak > 0)
    assert np.array_equal(scale, peak * np.float32(1 / 127))
    assert np.array_equal(codes.reshape(-1, 32), np.rint(blocks * inverse[:, None]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 7, 15, 16, 31])
def test_quantize_lets_no_bad_number_pass_for_a_good_one(bad: float, place: int) -> None:
    """A block that is not finite has codes 0 and a scale that spoils every product with it."""
    values = np.linspace(-3, 4, 32, dtype=np.float32)
    values[place] = bad
    codes, scale = on_every_isa("kernel_quantize", values)
    assert not codes.any()
    assert not np.isfinite(scale).any()


SCORES = st.floats(-1000, 1000, width=32, allow_subnormal=False)


@draws
@given(st.integers(1, 144).flatmap(lambda n: arrays.arrays(np.float32, n, elements=SCORES)))
def test_softmax(scores: Floats) -> None:
    """exp of the distance to the maximum within 4 units in the last place; padding counts nothing."""
    weights, greatest, total = on_every_isa("kernel_softmax", scores)
    assert greatest == scores.max()
    distance = np.maximum(scores - scores.max(), -87).astype(np.float64)
    expected = np.exp(distance)
    assert np.abs(weights[: len(scores)] / expected - 1).max() < 4 * 2.0**-23
    assert not weights[len(scores) :].any()
    assert abs(total / expected.sum() - 1) < 1e-6


@draws
@given(units(80), units(1e6))
def test_swiglu(gate: Floats, up: Floats) -> None:
    (found,) = on_every_isa("kernel_swiglu", gate, up)
    exact = gate.astype(np.float64) / (1 + np.exp(-gate.astype(np.float64))) * up
    assert np.abs(found - exact).max(initial=0, where=np.abs(exact) < SMALL) <= SMALL
    assert (np.abs(found - exact) <= 2e-6 * np.abs(exact) + SMALL).all()


@draws
@given(units(1e6))
def test_mix(values: Floats) -> None:
    """The Hadamard matrix of scipy, scaled to keep lengths."""
    (found,) = on_every_isa("kernel_mix", values)
    exact = values.reshape(-1, 32).astype(np.float64) @ (hadamard(32) / 32**0.5)
    assert np.abs(found.reshape(-1, 32) - exact).max() <= 1e-6 * np.abs(values).max()


@draws
@given(units(1e6), units(1e3, count=1), units(1e6))
def test_add_residual(values: Floats, gain: Floats, residual: Floats) -> None:
    total, scaled, squares = on_every_isa("kernel_add_residual", values, gain, residual)
    assert np.array_equal(total, residual + values)
    assert np.array_equal(scaled.reshape(-1, 32), total.reshape(-1, 32) * gain)
    exact = np.square(total.astype(np.float64)).reshape(-1, 32).sum(axis=1)
    assert squares == pytest.approx(exact, rel=1e-6, abs=1e-30)


def test_nan_survives_where_it_must() -> None:
    """A NaN score makes NaN weights, a NaN gate a NaN; on every instruction set."""
    values = np.ones(32, np.float32)
    values[7] = np.nan
    for isa in ISAS:
        assert np.isnan(native.kernel_swiglu(isa, values, np.ones(32, np.float32))[7])
        total, scaled, squares = native.kernel_add_residual(isa, values, values, values)
        assert np.isnan([total[7], scaled[7], squares[0]]).all()
