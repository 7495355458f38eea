"""The loss of several heads, one head at a time: memory that does not grow with their number.

The trunk runs once and its graph is cut at the state. Each head then runs forward and backward alone, so only
one head's activations and a few rows of logits exist at a time; what the heads send back adds up at the cut
and goes through the trunk in one backward pass (Gloeckle et al., arXiv:2404.19737, section 2 and figure 2).
Where heads read one another, a first pass without graph keeps each head's state; then the walk goes from the
last head to the first, each computed again, and hands the gradient of what it read to the head before it.

Shape letters: B texts, T positions, N tokens ahead, D hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtp_rt.models.linear_cross_entropy import IGNORE, RowScores, linear_cross_entropy, score_rows
from mtp_rt.models.multi_token import MultiTokenModel


@dataclass(frozen=True)
class TokenBatch:
    """Texts and what follows each of their positions.

    Attributes:
        tokens_BT: token ids, read by the trunk.
        ahead_BTN: the tokens 1 .. N ahead; read by sequential heads, whatever document they belong to.
        valid_BTN: whether such a token belongs to the document of its position: only then it is a label.
    """

    tokens_BT: Tensor
    ahead_BTN: Tensor
    valid_BTN: Tensor

    def to(self, device: torch.device) -> TokenBatch:
        """Return the batch on a device."""
        return TokenBatch(self.tokens_BT.to(device), self.ahead_BTN.to(device), self.valid_BTN.to(device))

    def labels(self, offset: int) -> Tensor:
        """Return the labels [B * T] of a head that is scored `offset` tokens ahead."""
        valid = self.valid_BTN[:, :, offset - 1]
        return self.ahead_BTN[:, :, offset - 1].masked_fill(~valid, IGNORE).flatten()

    def counts(self) -> Tensor:
        """Return how many labels there are [N], by how far they are ahead."""
        return self.valid_BTN.sum(dim=(0, 1))


def backward_head_by_head(
    model: MultiTokenModel,
    batch: TokenBatch,
    weights: Sequence[float],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Add the gradients of sum_i weights[i] * sum of the losses i + 1 tokens ahead; return those sums [n].

    Args:
        model: whose parameters get gradients.
        batch: what is learned from.
        weights: of the sums of cross-entropies, by how far ahead; as many as heads take part, the trunk's
            included. Divided by the number of labels they make means.
        dtype: of the matrix products: float32, bfloat16, or float64 where the model is float64.
    """
    active = len(weights)
    sums = torch.zeros(active, dtype=torch.float64, device=batch.tokens_BT.device)

    def descend(draft: int, made: list[Tensor], arriving: Sequence[Tensor | None]) -> None:
        """Send back the loss of a state, and what later heads sent to all that was handed to them."""
        offset = model.offset(draft)
        loss = linear_cross_entropy(made[0].flatten(0, 1), model.unembedding, batch.labels(offset), dtype)
        sums[offset - 1] = loss.detach()
        ends = [(tensor, back) for tensor, back in zip(made, arriving, strict=True) if back is not None]
        torch.autograd.backward(
            [loss, *(tensor for tensor, _ in ends)],
            [loss.new_tensor(weights[offset - 1]), *(back for _, back in ends)],
        )

    with _products(model, dtype):
        states, start = model.begin(batch.tokens_BT)
    cut = _leaf(states)
    cut_start = cut if start is states else _leaf(start)
    carried = _walk(model, batch, cut_start, active, dtype) if model.chained else []
    arriving: Sequence[Tensor | None] = [None] * len(carried[-1] if carried else [cut])
    for draft in range(active - 1, 0, -1):
        handed = (
            [cut_start] if not carried or draft == 1 else [_leaf(tensor) for tensor in carried[draft - 1]]
        )
        with _products(model, dtype):
            made = model.step(draft, handed, batch.ahead_BTN)
        descend(draft, made, arriving)
        if carried:
            arriving = [tensor.grad for tensor in handed]
            carried.pop()
        del made
    descend(0, [cut], [None])
    ends = [(states, cut.grad)] if start is states else [(states, cut.grad), (start, cut_start.grad)]
    ends = [(tensor, back) for tensor, back in ends if back is not None]
    torch.autograd.backward([tensor for tensor, _ in ends], [back for _, back in ends])
    return sums


@torch.no_grad()
def score_heads(model: MultiTokenModel, batch: TokenBatch, dtype: torch.dtype) -> list[RowScores]:
    """Return losses and hits [B * T] of every position, by how many tokens ahead; no gradients."""
    scores: dict[int, RowScores] = {}
    with _products(model, dtype):
        states, start = model.begin(batch.tokens_BT)
        made = [states]
        for draft in range(model.n):
            if draft:
                handed = [start] if draft == 1 or not model.chained else made
                made = model.step(draft, handed, batch.ahead_BTN)
            offset = model.offset(draft)
            scores[offset] = score_rows(made[0].flatten(0, 1), model.unembedding, batch.labels(offset), dtype)
    return [scores[offset] for offset in sorted(scores)]


@torch.no_grad()
def _walk(
    model: MultiTokenModel, batch: TokenBatch, start: Tensor, active: int, dtype: torch.dtype
) -> list[list[Tensor]]:
    """Return what each head is handed: [0] is s_0, for head 1."""
    handed = [[start.detach()]]
    with _products(model, dtype):
        for draft in range(1, active):
            handed.append(model.step(draft, handed[-1], batch.ahead_BTN))
    return handed


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()


def _products(model: MultiTokenModel, dtype: torch.dtype) -> torch.autocast:
    """Let matrices be multiplied in `dtype`; casts are not kept: those made without graph would cut it."""
    narrow = dtype == torch.bfloat16
    return torch.autocast(model.embedding.device.type, torch.bfloat16, enabled=narrow, cache_enabled=False)
