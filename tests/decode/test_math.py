"""Own exp, log, sin, cos: against numpy's float64 functions, and bit for bit against their numpy mirrors."""

from __future__ import annotations

import numpy as np
import pytest
from pick_reference import exp32, log64

from mtp_rt import _core_testing as native


def test_exp_of_floats_is_accurate_and_has_the_mirrors_bits() -> None:
    x = np.concatenate([np.linspace(-86, 88, 20001), [0.0, -0.0, -86.0], np.geomspace(1e-8, 1, 500)]).astype(
        np.float32
    )
    got = np.array(native.exp32(x.tolist()), np.float32)
    assert np.abs(got / np.exp(x.astype(np.float64)) - 1).max() < 2.5e-7
    assert (got.view(np.uint32) == exp32(x).view(np.uint32)).all()
    assert native.exp32([0.0]) == [1.0]


def test_exp_of_floats_is_zero_far_below() -> None:
    assert native.exp32([-86.1, -1000.0, -3e38, float("-inf")]) == [0.0] * 4


def test_exp_of_doubles() -> None:
    x = np.linspace(-700, 700, 20001)
    assert np.abs(np.array(native.exp64(x.tolist())) / np.exp(x) - 1).max() < 4e-16


def test_log_is_accurate_and_has_the_mirrors_bits() -> None:
    x = np.concatenate(
        [np.geomspace(1e-300, 1e300, 20001), 1 - np.geomspace(1e-16, 0.4, 2000), [1.0, 2.0**-33]]
    )
    got = np.array(native.log64(x.tolist()))
    assert np.abs(got - np.log(x)).max() <= 2.3e-13  # one unit in the last place at 690
    near_one = np.abs(x - 1) < 0.5
    small = got[near_one] != 0
    assert (np.abs(got[near_one][small] / np.log(x[near_one][small]) - 1) <= 4.5e-16).all()
    assert (got == log64(x)).all()


@pytest.mark.parametrize(("ours", "numpys"), [(native.sin64, np.sin), (native.cos64, np.cos)])
def test_sine_and_cosine_over_a_million_positions(ours: object, numpys: object) -> None:
    positions = np.concatenate([np.arange(0, 2**20, 97.0), np.linspace(-10, 10, 5001)])
    assert np.abs(np.array(ours(positions.tolist())) - numpys(positions)).max() < 3e-16  # type: ignore[operator]
