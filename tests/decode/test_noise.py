"""The noise: Philox against Random123's published answers, its layout and its distribution."""

from __future__ import annotations

import numpy as np
import pick_reference as reference
import pytest
from scipy import stats

from mtp_rt import _core_testing as native


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, 0xFFFFFFFFFFFFFFFF, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0A4093822,
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_published_words(counter: list[int], key: int, words: list[int]) -> None:
    assert native.philox(counter, key) == words


@pytest.mark.parametrize("seed", [0, 1, 2**40 + 7, 2**64 - 1])
@pytest.mark.parametrize("position", [0, 1, 4097, 2**33 + 5])
def test_noise_is_the_definitions(seed: int, position: int) -> None:
    assert native.noise(seed, position, list(range(301))) == reference.noise(seed, position, 301).tolist()


def test_noise_follows_gumbels_law() -> None:
    """Kolmogorov-Smirnov against scipy's distribution."""
    sample = [native.noise(5, position, [3])[0] for position in range(20_000)]
    assert stats.kstest(sample, stats.gumbel_r.cdf).pvalue > 1e-6


def test_noise_of_neighbours_is_uncorrelated() -> None:
    """Ids of one quad, successive positions and successive seeds."""
    tokens = list(range(4))
    grid = np.array([[native.noise(s, p, tokens) for p in range(100)] for s in range(100)])
    for shifted in (grid[1:] * grid[:-1], grid[:, 1:] * grid[:, :-1], grid[:, :, 1:] * grid[:, :, :-1]):
        product_mean = np.euler_gamma**2  # E[g]^2 where independent
        assert abs(shifted.mean() - product_mean) < 6 * shifted.std() / np.sqrt(shifted.size)
