"""Losses of extra heads.

Shape letters: N rows (a slot at one depth), D hidden, V rows of the unembedding, C candidates of a target.
A target is a sparse distribution: `ids` [N, C] into the unembedding and `weights` [N, C]. Weights of a row
sum to 1, or to 0 where the row carries no loss.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

WeightRule = Literal["uniform", "beta", "medusa"]

_LEAST_WEIGHT = 0.005  # of a candidate that makes a batch take its row
_CHUNK_ROWS = 512  # rows scored at a time: their logits stay in cache


def depth_weights(count: int, rule: WeightRule = "beta", beta: float = 0.6) -> list[float]:
    """Return the weights of the losses of drafts 1 .. count.

    `uniform`: 1 each (Gloeckle et al., arXiv:2404.19737). `beta`: beta^(k-1) / sum (FastMTP,
    arXiv:2509.18362, beta 0.6). `medusa`: 0.8^k (arXiv:2401.10774).
    """
    if rule == "uniform":
        return [1.0] * count
    if rule == "medusa":
        return [0.8**k for k in range(1, count + 1)]
    powers = [beta**k for k in range(count)]
    return [power / sum(powers) for power in powers]


def project_targets(
    ids_NC: Tensor, logprobs_NC: Tensor, row_of_V: Tensor, valid_N: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a teacher's top candidates as a target over the draft vocabulary: ids and weights [N, C].

    Candidates outside the draft vocabulary are dropped and the rest renormalised (EAGLE-3,
    arXiv:2503.01840); a row of which nothing is left, or that is not valid, gets weights 0.

    Args:
        ids_NC: token ids of the full vocabulary.
        logprobs_NC: the teacher's log-probabilities of them, in nats.
        row_of_V: for every token its row in the unembedding, -1 outside the draft vocabulary.
        valid_N: whether a row carries loss.
    """
    rows_NC = row_of_V[ids_NC]
    kept_NC = (rows_NC >= 0) & valid_N[:, None]
    weights_NC = logprobs_NC.float().exp() * kept_NC
    weights_NC = weights_NC / weights_NC.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return rows_NC.clamp(min=0), weights_NC


def mix_targets(
    ids_NC: Tensor, weights_NC: Tensor, labels_N: Tensor, label_share: float
) -> tuple[Tensor, Tensor]:
    """Return the target (1 - label_share) * teacher + label_share * label, as [N, C + 1] ids and weights.

    Args:
        ids_NC: the teacher's candidates.
        weights_NC: their weights.
        labels_N: the row of the text's own token in the unembedding; -1 where there is none: such rows keep
            the teacher alone.
        label_share: 0 (distillation alone) .. 1 (cross-entropy alone).
    """
    known_N1 = (labels_N >= 0)[:, None] & (weights_NC.sum(dim=1, keepdim=True) > 0)
    share_N1 = label_share * known_N1
    ids = torch.cat((ids_NC, labels_N.clamp(min=0)[:, None]), dim=1)
    return ids, torch.cat((weights_NC * (1 - share_N1), share_N1), dim=1)


class SampledRows(NamedTuple):
    """A part of the unembedding that stands for all of it in one batch.

    Attributes:
        rows_S: the rows taken.
        log_share_S: for each the logarithm of how many rows it stands for: 0 for rows that targets name.
        ids_NC: the targets' ids, as indices into `rows_S`.
        weights_NC: their weights; what names rows that were not taken is dropped, and the rest renormalised.
    """

    rows_S: Tensor
    log_share_S: Tensor
    ids_NC: Tensor
    weights_NC: Tensor


def sample_rows(ids_NC: Tensor, weights_NC: Tensor, rows: int, negatives: int) -> SampledRows:
    """Choose the rows of the unembedding that score a batch: those its targets name, and a few others.

    Scoring all rows is the larger half of a step. The others stand for the rest of the vocabulary: each
    counts as often as there are rows for one of them, so the sum of exponentials is right on average.

    Args:
        ids_NC: the targets' ids.
        weights_NC: their weights; candidates below 0.005 do not make a batch take a row.
        rows: how many there are.
        negatives: how many of the rows that no target names are drawn, by torch's own generator.
    """
    named_S = torch.unique(ids_NC[weights_NC >= _LEAST_WEIGHT])
    others = torch.ones(rows, dtype=torch.bool, device=ids_NC.device)
    others[named_S] = False
    rest = torch.nonzero(others)[:, 0]
    drawn = rest[torch.randperm(len(rest)).to(rest.device)[:negatives]]
    rows_S = torch.cat((named_S, drawn))
    log_share_S = torch.zeros(len(rows_S), device=ids_NC.device)
    log_share_S[len(named_S) :] = math.log(max(1, len(rest)) / max(1, len(drawn)))
    place = torch.full((rows,), -1, device=ids_NC.device)
    place[rows_S] = torch.arange(len(rows_S), device=ids_NC.device)
    found_NC = place[ids_NC]
    kept_NC = weights_NC * (found_NC >= 0)
    kept_NC = kept_NC / kept_NC.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return SampledRows(rows_S, log_share_S, found_NC.clamp(min=0), kept_NC)


def target_entropy(weights_NC: Tensor) -> Tensor:
    """Return the entropy [N] of targets in nats: cross-entropy minus it is the forward KL divergence."""
    return -torch.special.xlogy(weights_NC, weights_NC).sum(dim=1)


def sparse_cross_entropy(
    states_ND: Tensor,
    unembed_VD: Tensor,
    ids_NC: Tensor,
    weights_NC: Tensor,
    *,
    dtype: torch.dtype,
    bias_V: Tensor | None = None,
) -> Tensor:
    """Return -sum_c weights * log softmax(unembed . state)[ids] of every row, in nats [N] float32.

    The softmax runs over all rows of the unembedding, which gets a gradient only if it asks for one. Logits
    are made a few rows at a time and never kept: the gradient of the states is computed along with the loss.

    Args:
        states_ND: what the unembedding scores.
        unembed_VD: the unembedding.
        ids_NC: rows of the unembedding.
        weights_NC: their weights.
        dtype: of the products: float32, or bfloat16 where that is faster.
        bias_V: added to the logits of every row.
    """
    result: Tensor = _SparseCrossEntropy.apply(
        states_ND, unembed_VD.to(dtype), ids_NC, weights_NC, None if bias_V is None else bias_V.to(dtype)
    )
    return result


class _SparseCrossEntropy(torch.autograd.Function):
    """Rows are independent, so the gradient of row n is its stored row times what comes from above."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        states, unembed, ids, weights, bias = inputs
        dtype = unembed.dtype
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        ascent = torch.empty_like(states, dtype=dtype)
        kept = []
        for begin in range(0, len(states), _CHUNK_ROWS):
            rows = slice(begin, begin + _CHUNK_ROWS)
            logits = states[rows].detach().to(dtype) @ unembed.T
            chances = torch.softmax(logits if bias is None else logits.add_(bias), dim=-1)
            chosen = chances.gather(1, ids[rows]).float().clamp(min=1e-30)
            losses[rows] = -(weights[rows] * chosen.log()).sum(dim=1)
            total = weights[rows].sum(dim=1, keepdim=True)
            chances.mul_(total.to(dtype)).scatter_add_(1, ids[rows], -weights[rows].to(dtype))
            ascent[rows] = chances @ unembed
            if ctx.needs_input_grad[1]:
                kept.append(chances)
        ctx.save_for_backward(ascent, states, *kept)
        return losses

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ascent, states, *kept = ctx.saved_tensors
        scale = gradients[0][:, None]
        unembed = None
        if kept:
            scaled = (states.detach() * scale).to(kept[0].dtype)
            unembed = torch.cat(kept).T @ scaled
        return (ascent * scale).to(states.dtype), unembed, None, None, None
