"""Memory for keys and values: that of the host and ONNX Runtime's do the same. Oracle: numpy on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mtp_rt import _core_testing
from mtp_rt.engines import library_of
from mtp_rt.errors import CapacityError

Cache = NDArray[np.float32]
HEADS, HEAD_DIM = 6, 5


@pytest.fixture(scope="module")
def library() -> str:
    pytest.importorskip("onnxruntime")
    return library_of("onnxruntime", Path())


@pytest.fixture(scope="module", params=["host", "onnxruntime"])
def memory(request: pytest.FixtureRequest) -> _core_testing.CacheMemory:
    return _core_testing.CacheMemory("" if request.param == "host" else request.getfixturevalue("library"))


def filled(memory: _core_testing.CacheMemory, places: int, seed: int) -> Cache:
    cache: Cache = memory.make_zeros(HEADS, places, HEAD_DIM)
    cache[:] = np.random.default_rng(seed).standard_normal(cache.shape, np.float32)
    return cache


@pytest.mark.parametrize("places", [1, 63, 64, 65, 200, 512])
def test_new_memory_is_zero(memory: _core_testing.CacheMemory, places: int) -> None:
    """Also where what is given back comes again."""
    for _ in range(3):
        cache = memory.make_zeros(HEADS, places, HEAD_DIM)
        assert cache.shape == (HEADS, places, HEAD_DIM)
        assert not cache.any()
        cache[:] = np.nan


@pytest.mark.parametrize(("places", "count"), [(64, 1), (64, 40), (64, 64), (256, 65), (256, 200)])
def test_growing_keeps_what_is_filled(memory: _core_testing.CacheMemory, places: int, count: int) -> None:
    old = filled(memory, places, count)
    new = memory.make_zeros(HEADS, 2 * places, HEAD_DIM)
    before = old.copy()
    memory.copy(old, count, new)
    assert np.array_equal(new[:, :count], before[:, :count])
    assert not new[:, count:].any()
    assert np.array_equal(old, before)


@pytest.mark.parametrize(
    ("base", "offsets"),
    [
        (0, []),
        (7, [0, 1, 2]),
        (0, [1]),
        (7, [0, 2, 5]),
        (3, [1, 2, 3, 4]),
        (120, [0, 1, 3, 7]),
        (2, list(range(1, 120))),
        (5, [*range(100), 110]),
    ],
)
def test_kept_places_move_up(memory: _core_testing.CacheMemory, base: int, offsets: Sequence[int]) -> None:
    cache = filled(memory, 128, base)
    expected = cache.copy()
    expected[:, base : base + len(offsets)] = cache[:, [base + offset for offset in offsets]]
    memory.keep(cache, base, offsets)
    assert np.array_equal(cache, expected)


def test_too_much_is_refused(library: str) -> None:
    memory = _core_testing.CacheMemory(library)
    with pytest.raises(CapacityError, match=r"no memory on provider 'cpu' for .* 1073741824 positions"):
        memory.make_zeros(2**20, 2**30, 64)
    assert not memory.make_zeros(HEADS, 64, HEAD_DIM).any()


def test_the_graph_is_valid() -> None:
    """Oracle: the package onnx, which shares nothing with our writer of it."""
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(_core_testing.row_mover_graph())
    onnx.checker.check_model(graph, full_check=True)
    inputs = {value.name: value.type.tensor_type for value in graph.graph.input}
    assert [inputs[name].elem_type for name in ("from", "places", "to", "base")] == [1, 7, 1, 7]
    assert [len(inputs[name].shape.dim) for name in ("from", "places", "to", "base")] == [4, 1, 4, 1]
