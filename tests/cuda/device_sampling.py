"""Shapes of rows to pick from, and the kernel's pick under every arrangement of its threads that is tried."""

from __future__ import annotations

from typing import Any

import numpy as np
import pick_cases
from numpy.typing import NDArray

from mtp_rt import _core
from mtp_rt import _core_testing as native

SHAPES = pick_cases.SHAPES + pick_cases.EXTREMES
# (threads, entries that a search ranks at once, order of turns): few entries make a search go digit by digit.
ARRANGEMENTS = [(32, 256, 1), (7, 4, 2), (64, 4, 3), (1, 256, 4)]


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
