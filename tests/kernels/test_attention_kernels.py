"""Attention within a block against numpy in float64, and the same bits on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mtp_rt import _core_testing as native
from mtp_rt._core import available_isas

Floats = NDArray[np.float32]
ISAS = available_isas()


Case = tuple[Floats, Floats, Floats, list[int]]  # queries, keys, values [., head_dim], counts


def attend(isa: str, quantized: bool, case: Case) -> NDArray[np.float32]:
    """Return [queries, 2 + head_dim]: max, sum, weighted values."""
    return np.asarray(native.kernel_attend(isa, quantized, *case), np.float32)


def rounded(x: Floats) -> NDArray[np.float64]:
    """Return what 8 bits keep of `x` [rows, head_dim], per row and 32 dimensions."""
    blocks = x.reshape(len(x), -1, 32).astype(np.float64)
    scale = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    return (np.rint(blocks / np.where(scale > 0, scale, 1)) * scale).reshape(x.shape)


def expected(quantized: bool, case: Case) -> NDArray[np.float64]:
    """The oracle: softmax to the base 2, one query at a time."""
    q, k, v = (rounded(x) if quantized else x.astype(np.float64) for x in case[:3])
    rows = []
    for query, count in zip(q, case[3], strict=True):
        scores = k[:count] @ query
        weights = np.exp2(scores - scores.max())
        rows.append(np.concatenate(([scores.max(), weights.sum()], weights @ v[:count])))
    return np.array(rows)


@st.composite
def blocks(draw: st.DrawFn) -> Case:
    """Queries, keys, values, counts: any number of queries and positions, dimensions of unequal size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dim = draw(st.sampled_from([32, 64, 96, 128, 512]))
    positions = draw(st.integers(1, 128))
    counts = draw(st.lists(st.integers(1, positions), min_size=1, max_size=26))
    spread = np.exp(rng.standard_normal(dim))
    queries = rng.standard_normal((len(counts), dim)) * draw(st.sampled_from([0.1, 1.0])) / dim**0.5
    keys = rng.standard_normal((positions, dim)) * spread
    values = rng.standard_normal((positions, dim)) * np.exp(rng.standard_normal((positions, 1)))
    return queries.astype(np.float32), keys.astype(np.float32), values.astype(np.float32), counts


@pytest.mark.parametrize("quantized", [False, True])
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(blocks())
def test_attention(quantized: bool, case: Case) -> None:
    """Float32 accuracy; the weights of 8-bit values have 15 bits."""
    found = attend(ISAS[0], quantized, case)
    exact = expected(quantized, case)
    assert np.allclose(found[:, :2], exact[:, :2], rtol=1e-4 if quantized else 1e-5, atol=1e-4)
    spread = np.abs(case[2]).max()
    step = spread * 2.0**-15 * 128 if quantized else spread * 1e-4
    assert np.abs(found[:, 2:] - exact[:, 2:]).max() <= step
    for isa in ISAS[1:]:
        assert attend(isa, quantized, case).tobytes() == found.tobytes(), isa


@pytest.mark.parametrize("quantized", [False, True])
def test_queries_do_not_see_each_other(quantized: bool) -> None:
    """A query alone has the bits that it has among others with other counts."""
    rng = np.random.default_rng(3)
    queries, keys, values = (rng.standard_normal((n, 64)).astype(np.float32) for n in (13, 128, 128))
    counts = [1, 128, 17, 32, 33, 127, 64, 16, 100, 31, 48, 5, 96]
    together = attend(ISAS[0], quantized, (queries, keys, values, counts))
    for isa in ISAS:
        for i, count in enumerate(counts):
            alone = attend(isa, quantized, (queries[i : i + 1], keys[:count], values[:count], [count]))
            assert alone.tobytes() == together[i].tobytes()


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_bad_numbers_show_where_they_are_seen(part: int, bad: float, quantized: bool) -> None:
    """A NaN or infinity at position 20 spoils the query that sees it, never the one that does not."""
    rng = np.random.default_rng(5)
    arrays = tuple(rng.standard_normal((n, 64)).astype(np.float32) for n in (2, 40, 40))
    clean = attend(ISAS[0], quantized, (*arrays, [40, 20]))
    arrays[part][0 if part == 0 else 20, 9] = bad
    for isa in ISAS:
        found = attend(isa, quantized, (*arrays, [40, 20]))
        assert found[1].tobytes() == clean[1].tobytes()
        assert not np.isfinite(found[0]).all()


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_the_greatest_scores(signs: tuple[int, int]) -> None:
    """Queries and keys whose codes are all 127 or -127: no product may run over."""
    query = np.full((13, 64), signs[0] * 0.01, np.float32)
    keys = np.full((128, 64), signs[1], np.float32)
    case = (query, keys, np.ones((128, 64), np.float32), [128] * 13)
    exact = expected(True, case)
    for isa in ISAS:
        assert np.allclose(attend(isa, True, case)[:, :2], exact[:, :2], rtol=1e-5), isa
