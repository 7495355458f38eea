"""How many heads take part in a step, and what their losses weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mtp_rt.models.losses import WeightRule, depth_weights

Curriculum = Literal["none", "forward", "reverse"]


def active_heads(rule: Curriculum, n: int, step: int, steps: int) -> int:
    """Return how many tokens are predicted in a step, in n phases of equal length (arXiv:2505.22757).

    Args:
        rule: "none": always n; "forward": 1, 2, .. n; "reverse": n, .. 2, 1.
        n: at most.
        step: from 0.
        steps: in all.
    """
    phase = min(n - 1, step * n // steps)
    return {"none": n, "forward": phase + 1, "reverse": n - phase}[rule]


@dataclass(frozen=True)
class HeadSchedule:
    """Weights of the heads' mean losses, step by step.

    Attributes:
        n: tokens predicted at once.
        steps: of the training.
        curriculum: how many heads take part when.
        rule: weights of heads 2 .. n (mtp_rt.models.losses.depth_weights); head 1 weighs 1.
        beta: base of that rule.
        warm_up: steps over which the weights of heads 2 .. n rise from 0.
    """

    n: int
    steps: int
    curriculum: Curriculum = "none"
    rule: WeightRule = "uniform"
    beta: float = 0.8
    warm_up: int = 0

    def weights(self, step: int) -> list[float]:
        """Return the weights of the heads that take part in a step, counted from 0."""
        active = active_heads(self.curriculum, self.n, step, self.steps)
        share = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        return [1.0, *(share * weight for weight in depth_weights(self.n - 1, self.rule, self.beta))][:active]
