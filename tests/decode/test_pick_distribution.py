"""Sampling is sampling: chi-square against softmax, and the match of two models that share noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mtp_rt import _core
from mtp_rt import _core_testing as native

DRAWS = 200_000


@pytest.mark.parametrize("case", range(20))
def test_draws_follow_the_softmax(case: int) -> None:
    """Chi-square of 200,000 draws over 10 to 50 tokens, at the temperature of the case."""
    rng = np.random.default_rng(case)
    vocab, temperature = int(rng.integers(10, 51)), float(rng.choice([0.5, 1.0, 1.5]))
    logits = rng.uniform(-1.5, 1.5, vocab).astype(np.float32)
    params = _core.SamplingParams(temperature=temperature, seed=case)
    counts = np.bincount(native.pick_many(logits, params, 0, DRAWS), minlength=vocab)
    weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    expected = weights / weights.sum() * DRAWS
    assert expected.min() > 5
    assert stats.chisquare(counts, expected).pvalue > 1e-6


@pytest.mark.parametrize(
    ("p", "q", "match"),
    [
        ([0.5, 0.3, 0.2], [0.4, 0.4, 0.2], 0.8818),
        ([0.7, 0.2, 0.1], [0.1, 0.2, 0.7], 0.3250),
        ([0.9, 0.05, 0.05], [0.6, 0.3, 0.1], 0.6955),
    ],
)
def test_shared_noise_couples_two_models(p: list[float], q: list[float], match: float) -> None:
    """Pr[a = b] = sum_i 1 / sum_j max(p_j / p_i, q_j / q_i), Daliri et al. 2024; 6 sigma of a Monte Carlo."""
    params = _core.SamplingParams(temperature=1.0, seed=11)
    a, b = (np.array(native.pick_many(np.log(x).astype(np.float32), params, 0, DRAWS)) for x in (p, q))
    exact = sum(1 / sum(max(p[j] / p[i], q[j] / q[i]) for j in range(3)) for i in range(3))
    assert exact == pytest.approx(match, abs=5e-5)
    assert abs((a == b).mean() - exact) < 6 * np.sqrt(exact * (1 - exact) / DRAWS)


def test_top_p_renormalises() -> None:
    """Of .5 .25 .125 .125, top-p 0.7 keeps two, drawn 2 : 1."""
    logits = np.log([0.125, 0.5, 0.125, 0.25]).astype(np.float32)
    params = _core.SamplingParams(temperature=1.0, top_p=0.7, seed=4)
    counts = np.bincount(native.pick_many(logits, params, 0, 60_000), minlength=4)
    assert counts[[0, 2]].tolist() == [0, 0]
    assert stats.chisquare(counts[[1, 3]], [40_000, 20_000]).pvalue > 1e-6
