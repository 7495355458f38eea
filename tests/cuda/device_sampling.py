"""Rows to pick from, and the kernel's pick under every arrangement of its threads that the tests try."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt import _core
from mtp_rt import _core_testing as native

SHAPES = ["peaked", "flat", "tied", "masked", "equal", "wide", "tiny"]
# (threads, entries that a search ranks at once, order of turns): few entries make a search go digit by digit.
ARRANGEMENTS = [(32, 256, 1), (7, 4, 2), (64, 4, 3), (1, 256, 4)]


def make_logits(shape: str, vocab: int, seed: int) -> NDArray[np.float32]:
    """Rows of different character; "wide" ones overflow, "tiny" ones are made of subnormal numbers."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(vocab) * 3
    if shape == "peaked":
        logits[rng.integers(vocab, size=5)] += 12
    elif shape == "flat":
        logits *= 0.01
    elif shape == "tied":
        logits = np.round(logits)
    elif shape == "masked":
        logits[rng.random(vocab) < 0.5] = -np.inf
        logits[rng.integers(vocab)] = 1.0
    elif shape == "equal":
        logits[:] = -2.5
    elif shape == "wide":
        logits = np.clip(logits * 1e38, -3e38, 3e38)
    else:
        logits *= 1e-40
    return logits.astype(np.float32)


def device_picks(
    logits: NDArray[np.float32], params: _core.SamplingParams, position: int, **more: Any
) -> int:
    """Return the kernel's pick, which is the same in every arrangement."""
    picks = {
        native.device_pick(logits, params, position, threads=threads, listed=listed, order=order, **more)
        for threads, listed, order in ARRANGEMENTS
    }
    assert len(picks) == 1, picks
    return picks.pop()
