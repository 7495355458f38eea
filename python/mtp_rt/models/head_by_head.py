"""The loss of several heads, one head at a time: memory that does not grow with their number.

The trunk runs once and its graph is cut at the state. Each head then runs forward and backward alone, so only
one head's activations and a few rows of logits exist at a time; what the heads send back adds up at the cut
and goes through the trunk in one backward pass (Gloeckle et al., arXiv:2404.19737, section 2 and figure 2).
Where heads read one another, a first pass goes from head to head; then the walk goes from the last head to
the first and hands the gradient of what each has read to the head before it. The first pass keeps states
alone, and the walk computes the heads again; but the graphs of a few may be kept: blocks that took the place
of layers need no more memory for those than the layers would.

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
    *,
    keep: int = 0,
) -> Tensor:
    """Add the gradients of sum_i weights[i] * sum of the losses i + 1 tokens ahead; return those sums [n].

    Args:
        model: whose parameters get gradients.
        batch: what is learned from.
        weights: of the sums of cross-entropies, by how far ahead; as many as heads take part, the trunk's
            included. Divided by the number of labels they make means.
        dtype: of the matrix products: float32, bfloat16, or float64 where the model is float64.
        keep: where heads read one another, keep the graphs of this many, those nearest to the trunk: that
            saves a forward pass of each.
    """
    active = len(weights)
    sums = torch.zeros(active, dtype=torch.float64, device=batch.tokens_BT.device)

    def descend(draft: int, made: list[Tensor], arriving: Sequence[Tensor | None]) -> None:
        """Send back the loss of a state, and what later heads sent to all that was handed to them."""
        offset = model.offset(draft)
        matrix = model.unembedding_of(draft)
        loss = linear_cross_entropy(made[0].flatten(0, 1), matrix, batch.labels(offset), dtype)
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
    links = _walk(model, batch, cut_start, active, dtype=dtype, keep=keep)
    arriving: Sequence[Tensor | None] = []
    for draft in range(active - 1, 0, -1):
        handed, made = links.pop()
        if made is None:
            with _products(model, dtype):
                made = model.step(draft, handed, batch.ahead_BTN)
        descend(draft, made, arriving or [None] * len(made))
        if model.chained:
            arriving = [tensor.grad for tensor in handed]
        del handed, made
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
            states_ND, matrix = made[0].flatten(0, 1), model.unembedding_of(draft)
            scores[offset] = score_rows(states_ND, matrix, batch.labels(offset), dtype)
    return [scores[offset] for offset in sorted(scores)]


def _walk(
    model: MultiTokenModel, batch: TokenBatch, start: Tensor, active: int, *, dtype: torch.dtype, keep: int
) -> list[tuple[list[Tensor], list[Tensor] | None]]:
    """Return what each extra head is handed, cut from what made it; and what it makes of it, where kept."""
    links: list[tuple[list[Tensor], list[Tensor] | None]] = []
    handed = [start]
    for draft in range(1, active):
        made, kept = None, draft <= keep
        if model.chained and (kept or draft < active - 1):
            with torch.set_grad_enabled(kept), _products(model, dtype):
                made = model.step(draft, handed, batch.ahead_BTN)
        links.append((handed, made if kept else None))
        if made is not None:
            handed = [_leaf(tensor) for tensor in made]
    return links


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()


def _products(model: MultiTokenModel, dtype: torch.dtype) -> torch.autocast:
    """Let matrices be multiplied in `dtype`; casts are not kept: those made without graph would cut it."""
    narrow = dtype == torch.bfloat16
    return torch.autocast(model.embedding.device.type, torch.bfloat16, enabled=narrow, cache_enabled=False)
