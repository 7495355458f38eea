"""Phases and weights of heads, by the formulas of arXiv:2505.22757 and by hand."""

from __future__ import annotations

import math

import pytest

from mtp_rt.training.pretrain.curriculum import HeadSchedule, active_heads


@pytest.mark.parametrize(("n", "steps"), [(1, 10), (4, 10), (4, 100), (8, 8), (8, 3)])
def test_phases_are_the_papers(n: int, steps: int) -> None:
    for step in range(steps):
        phase = math.floor(step / (steps / n) + 1e-9)
        assert active_heads("none", n, step, steps) == n
        assert active_heads("forward", n, step, steps) == min(n, phase + 1)
        assert active_heads("reverse", n, step, steps) == max(1, n - phase)


def test_weights_follow_their_rule_and_rise() -> None:
    schedule = HeadSchedule(4, 100, rule="beta", beta=0.5, warm_up=10)
    total = 1 + 0.5 + 0.25
    assert schedule.weights(50) == pytest.approx([1, 1 / total, 0.5 / total, 0.25 / total])
    assert schedule.weights(0)[0] == 1
    assert schedule.weights(0)[1:] == pytest.approx([0.1 * w for w in schedule.weights(50)[1:]])


def test_a_curriculum_cuts_the_list_of_weights() -> None:
    schedule = HeadSchedule(4, 8, curriculum="forward")
    assert [len(schedule.weights(step)) for step in range(8)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert HeadSchedule(1, 8).weights(0) == [1.0]
