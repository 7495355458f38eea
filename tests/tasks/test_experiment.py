"""The runs of a task: how long one lasts."""

from __future__ import annotations

import pytest

from mtp_rt.tasks.experiment import ExperimentConfig, run_seed
from mtp_rt.tasks.path_star import PathStar, PathStarConfig


@pytest.mark.parametrize(("enough", "steps"), [(0.0, 2), (2.0, 5)])
def test_a_run_ends_where_it_scores_enough(enough: float, steps: int) -> None:
    """It is looked at every two steps; a score of 0 is reached at once, one of 2 never."""
    task = PathStar(PathStarConfig(2, 3, labels=12, train=20, test=5, n=2))
    fit = ExperimentConfig(
        hidden_size=32, layers=2, heads=1, batch=2, steps=5, evaluate_every=2, enough=enough
    )
    assert run_seed(task, fit, 0)["step"] == steps
