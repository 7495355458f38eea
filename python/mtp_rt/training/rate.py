"""The learning rate of a training step."""

from __future__ import annotations

import math


def learning_rate(step: int, progress: float, *, peak: float, warm_up: int, final_rate: float) -> float:
    """Return the rate of a step: a straight rise, then half a cosine.

    Args:
        step: counted from 0.
        progress: how much of the schedule is done, 0 .. 1.
        peak: the highest rate.
        warm_up: steps until then.
        final_rate: the last rate as a share of the peak.
    """
    warm = min(1.0, (step + 1) / max(1, warm_up))
    fall = 0.5 * (1 + math.cos(math.pi * progress))
    return peak * warm * (final_rate + (1 - final_rate) * fall)
