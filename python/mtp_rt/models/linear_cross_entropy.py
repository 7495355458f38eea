"""Cross-entropy of states under an output matrix, whose logits exist a few rows at a time.

Shape letters: N rows, D hidden, V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100  # a label that carries no loss

_CHUNK_ELEMENTS = 1 << 20  # logits that exist at a time: 4 MiB of float32
_CHUNK_ROWS = 128, 4096  # rows scored at a time, at least and at most


class RowScores(NamedTuple):
    """What rows are worth.

    Attributes:
        losses_N: cross-entropy in nats; 0 where there is no label.
        right_N: whether the likeliest token is the label.
    """

    losses_N: Tensor
    right_N: Tensor


def linear_cross_entropy(
    states_ND: Tensor, matrix_VD: Tensor, labels_N: Tensor, dtype: torch.dtype
) -> Tensor:
    """Return the sum of -log softmax(matrix . state)[label] over all rows with a label, in nats: a scalar.

    Gradients of states and matrix are worked out along with the loss, chunk by chunk, so the peak of memory
    does not hold N x V logits but 4 MiB, or 128 rows, of them.

    Args:
        states_ND: what the matrix scores.
        matrix_VD: the output matrix.
        labels_N: token ids; IGNORE where there is none.
        dtype: of the products. Softmax and sums are made in float32 at least.
    """
    rows = torch.nonzero(labels_N != IGNORE)[:, 0]
    chosen = states_ND if len(rows) == len(labels_N) else states_ND[rows]
    result: Tensor = _LinearCrossEntropy.apply(chosen, matrix_VD, labels_N[rows], dtype)
    return result


@torch.no_grad()
def score_rows(states_ND: Tensor, matrix_VD: Tensor, labels_N: Tensor, dtype: torch.dtype) -> RowScores:
    """Return loss and hit of every row, without gradients; arguments as above."""
    losses = torch.empty(len(states_ND), dtype=_wide(dtype), device=states_ND.device)
    right = torch.empty(len(states_ND), dtype=torch.bool, device=states_ND.device)
    matrix = matrix_VD.to(dtype)
    for rows in _chunks(len(states_ND), len(matrix)):
        logits = (states_ND[rows].to(dtype) @ matrix.T).to(losses.dtype)
        losses[rows] = F.cross_entropy(logits, labels_N[rows], ignore_index=IGNORE, reduction="none")
        right[rows] = logits.argmax(dim=-1) == labels_N[rows]
    return RowScores(losses, right)


class _LinearCrossEntropy(torch.autograd.Function):
    """Forward makes the gradients for a scale of 1; backward multiplies."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        states, matrix, labels, dtype = inputs
        wide, narrow = _wide(dtype), matrix.detach().to(dtype)
        total = torch.zeros((), dtype=wide, device=states.device)
        states_gradient = torch.empty_like(states, dtype=dtype)
        matrix_gradient = torch.zeros_like(matrix, dtype=wide)
        for rows in _chunks(len(states), len(matrix)):
            chunk, own = states[rows].detach().to(dtype), labels[rows, None]
            logits = (chunk @ narrow.T).to(wide)
            peak = logits.amax(dim=-1, keepdim=True)
            scores = logits.gather(1, own) - peak
            shares = logits.sub_(peak).exp_()
            sums = shares.sum(dim=-1, keepdim=True)
            total += (sums.log() - scores).sum()
            shares.div_(sums).scatter_add_(1, own, torch.full_like(scores, -1.0))
            slopes = shares.to(dtype)
            states_gradient[rows] = slopes @ narrow
            matrix_gradient += slopes.T @ chunk
        ctx.save_for_backward(states_gradient, matrix_gradient)
        ctx.dtypes = states.dtype, matrix.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        states_gradient, matrix_gradient = ctx.saved_tensors
        (scale,), (states, matrix) = gradients, ctx.dtypes
        return (states_gradient * scale).to(states), (matrix_gradient * scale).to(matrix), None, None


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _chunks(rows: int, vocabulary: int) -> list[slice]:
    least, most = _CHUNK_ROWS
    size = min(most, max(least, _CHUNK_ELEMENTS // vocabulary))
    return [slice(begin, begin + size) for begin in range(0, rows, size)]
