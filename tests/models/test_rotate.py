"""Rotary positions: the formula in complex numbers, its gradient, and memory that stays as it lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtp_rt.models.layers import rotate

LAYOUTS = ("interleaved", "half")


def pairs_of(x: np.ndarray, layout: str) -> np.ndarray:
    """Return the pairs of the last dimension as complex numbers."""
    half = x.shape[-1] // 2
    first, second = (
        (x[..., 0::2], x[..., 1::2]) if layout == "interleaved" else (x[..., :half], x[..., half:])
    )
    return first + 1j * second


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_pair_turns_by_its_angle(layout: str) -> None:
    theta, size = 100.0, 8
    x = torch.randn(2, 3, 5, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([0, 1, 2, 7, 100])
    turned = rotate(x, positions, theta, layout).numpy()
    angles = positions.numpy()[:, None] * theta ** -(np.arange(size // 2) / (size // 2))
    expected = pairs_of(x.numpy(), layout) * np.exp(1j * angles)
    np.testing.assert_allclose(pairs_of(turned, layout), expected, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradient_is_that_of_the_formula(layout: str) -> None:
    x = torch.randn(2, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    positions = torch.tensor([3, 4, 9])
    assert torch.autograd.gradcheck(lambda x: rotate(x, positions, 10.0, layout), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_that_lie_apart_turn_like_others(layout: str, dtype: torch.dtype) -> None:
    x = torch.randn(2, 5, 3, 8, generator=torch.Generator().manual_seed(2)).to(dtype)
    apart = x.transpose(1, 2)
    positions = torch.arange(5)
    turned = rotate(apart, positions, 50.0, layout)
    assert turned.dtype == dtype
    torch.testing.assert_close(turned, rotate(apart.contiguous(), positions, 50.0, layout))
