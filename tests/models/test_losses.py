"""Losses against float64 sums written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt.models.losses import (
    depth_weights,
    mix_targets,
    project_targets,
    sample_rows,
    sparse_cross_entropy,
    target_entropy,
)


def log_softmax(states: np.ndarray, unembed: np.ndarray) -> np.ndarray:
    logits = states @ unembed.T
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def random_case(seed: int, rows: int, candidates: int) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    states = generator.normal(size=(rows, 12))
    unembed = generator.normal(size=(40, 12))
    ids = np.stack([generator.choice(40, candidates, replace=False) for _ in range(rows)])
    weights = generator.dirichlet(np.ones(candidates), rows)
    weights[generator.random(rows) < 0.2] = 0
    return states, unembed, ids, weights


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 1100), st.integers(1, 9))
def test_kl_is_the_sum_written_out(seed: int, rows: int, candidates: int) -> None:
    states, unembed, ids, weights = random_case(seed, rows, candidates)
    loss = sparse_cross_entropy(
        *(torch.tensor(part) for part in (states, unembed, ids, weights)), dtype=torch.float64
    )
    kl = (loss - target_entropy(torch.tensor(weights))).numpy()
    logs = log_softmax(states, unembed)
    for row in range(rows):
        expected = sum(
            share * (np.log(share) - logs[row, token])
            for token, share in zip(ids[row], weights[row], strict=True)
            if share > 0
        )
        assert kl[row] == pytest.approx(expected, abs=1e-5)


def test_gradients_are_those_of_autograd() -> None:
    """Oracle: torch's own log-softmax, differentiated by autograd; the unembedding's gradient too."""
    states, unembed, ids, weights = (torch.tensor(part) for part in random_case(3, 700, 5))
    scale = torch.rand(700, dtype=torch.float64)
    grads = []
    for ours in (True, False):
        s, u = states.clone().requires_grad_(), unembed.clone().requires_grad_()
        if ours:
            losses = sparse_cross_entropy(s, u, ids, weights, dtype=torch.float64)
        else:
            losses = -(weights * torch.log_softmax(s @ u.T, dim=1).gather(1, ids)).sum(dim=1)
        (losses * scale).sum().backward()
        grads.append((s.grad, u.grad))
    torch.testing.assert_close(grads[0], grads[1])


def test_bfloat16_is_close() -> None:
    states, unembed, ids, weights = (torch.tensor(part).float() for part in random_case(4, 300, 5))
    exact = sparse_cross_entropy(states, unembed, ids.long(), weights, dtype=torch.float32)
    narrow = sparse_cross_entropy(states, unembed, ids.long(), weights, dtype=torch.bfloat16)
    assert (exact - narrow).abs().max() < 0.1
    assert (exact - narrow).mean().abs() < 0.01


def test_teacher_is_projected_on_the_draft_vocabulary() -> None:
    row_of_token = torch.tensor([-1, 0, 1, -1, 2, -1])
    ids = torch.tensor([[1, 3, 4], [0, 3, 5], [2, 1, 4]])
    logprobs = torch.tensor([[0.5, 0.3, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.1]]).log()
    rows, weights = project_targets(ids, logprobs, row_of_token, torch.tensor([True, True, False]))
    torch.testing.assert_close(weights, torch.tensor([[5 / 6, 0, 1 / 6], [0, 0, 0], [0, 0, 0]]))
    assert rows[0, 0] == 0
    assert rows[0, 2] == 2


def test_mixing_keeps_the_sum_and_adds_nothing_without_a_label() -> None:
    ids, weights = (
        torch.tensor([[1, 2], [1, 2], [0, 0]]),
        torch.tensor([[0.75, 0.25], [1.0, 0.0], [0.0, 0.0]]),
    )
    mixed_ids, mixed = mix_targets(ids, weights, torch.tensor([2, -1, 1]), 0.5)
    torch.testing.assert_close(mixed, torch.tensor([[0.375, 0.125, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    assert mixed_ids[0].tolist() == [1, 2, 2]


def test_depth_weights() -> None:
    assert depth_weights(3, "uniform") == [1.0, 1.0, 1.0]
    assert depth_weights(3, "medusa") == pytest.approx([0.8, 0.64, 0.512])
    # FastMTP's table for beta 0.6.
    assert [round(weight, 2) for weight in depth_weights(3, "beta", 0.6)] == [0.51, 0.31, 0.18]


def sampled_loss(parts: list[torch.Tensor], negatives: int, seed: int) -> torch.Tensor:
    states, unembed, ids, weights = parts
    torch.manual_seed(seed)
    rows, log_share, ids, weights = sample_rows(ids, weights, len(unembed), negatives)
    return sparse_cross_entropy(states, unembed[rows], ids, weights, dtype=torch.float64, bias_V=log_share)


def test_sampling_all_rows_is_the_whole_loss() -> None:
    parts = [torch.tensor(part) for part in random_case(5, 6, 2)]
    expected = sparse_cross_entropy(*parts, dtype=torch.float64)
    torch.testing.assert_close(sampled_loss(parts, 40, 0), expected)
    torch.testing.assert_close(sampled_loss(parts, 1000, 0), expected)


def test_sampled_sums_of_exponentials_are_right_on_average() -> None:
    """Oracle: exp(loss) of a sure target is the sum of exponentials over its own, whose mean is exact."""
    states, unembed, ids, weights = (torch.tensor(part) for part in random_case(6, 5, 1))
    weights = torch.ones_like(weights)
    exact = sparse_cross_entropy(states, unembed, ids, weights, dtype=torch.float64).exp()
    draws = [sampled_loss([states, unembed, ids, weights], 12, seed).exp() for seed in range(1500)]
    mean, error = torch.stack(draws).mean(dim=0), torch.stack(draws).std(dim=0) / len(draws) ** 0.5
    assert ((mean - exact).abs() < 5 * error).all()


def test_unlikely_candidates_are_dropped_and_the_rest_renormalised() -> None:
    ids, weights = torch.tensor([[3, 7, 9]]), torch.tensor([[0.6, 0.399, 0.001]])
    rows, log_share, found, kept = sample_rows(ids, weights, 20, 0)
    assert rows.tolist() == [3, 7]
    assert log_share.tolist() == [0.0, 0.0]
    assert found[0, :2].tolist() == [0, 1]
    torch.testing.assert_close(kept, torch.tensor([[0.6 / 0.999, 0.399 / 0.999, 0.0]]))
