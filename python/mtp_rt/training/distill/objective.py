"""What one batch of slots teaches the heads.

Shape letters: N slots, K drafts, D hidden, C candidates of the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtp_rt.models.heads import ExtraHeads
from mtp_rt.models.losses import (
    mix_targets,
    project_targets,
    sample_rows,
    sparse_cross_entropy,
    target_entropy,
)
from mtp_rt.training.distill.slots import SlotBatch


@dataclass(frozen=True)
class Objective:
    """Forward KL to the main head, mixed with the text's own tokens.

    Attributes:
        weights: of the drafts' losses; their sum does not matter, their ratios do.
        label_share: how much of each target is the text's own token: 0 distils, 1 is cross-entropy.
        negatives: rows of the unembedding that are drawn beside those that targets name; 0: all are scored.
        dtype: of the products.
    """

    weights: Sequence[float]
    label_share: float
    negatives: int
    dtype: torch.dtype

    def rows(self, slots: int) -> list[int]:
        """Return how many of a batch's slots go on to draft k.

        Later drafts weigh less. Instead of scoring all slots and multiplying by the weight, fewer slots are
        unrolled that far: the same expectation for less work.
        """
        return [max(1, round(slots * weight / max(self.weights))) for weight in self.weights]

    def __call__(self, heads: ExtraHeads, batch: SlotBatch) -> tuple[Tensor, list[float]]:
        """Return the loss (a scalar with a gradient) and each draft's mean KL in nats.

        Args:
            heads: what is trained.
            batch: the slots, in random order.
        """
        device = heads.embedding.device
        counts = self.rows(len(batch.states_ND))
        taps = None if batch.taps_NLD is None else torch.from_numpy(batch.taps_NLD).to(device)
        with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
            start = heads.start(torch.from_numpy(batch.states_ND).to(device), taps)
            states = heads.unroll(start, torch.from_numpy(batch.tokens_NK).to(device), counts)
        losses = self._divergences(heads, states, batch)
        loss = torch.stack([part.sum() for part in losses]).sum() / sum(counts)
        return loss, [part.detach().mean().item() for part in losses]

    def _divergences(self, heads: ExtraHeads, states: list[Tensor], batch: SlotBatch) -> list[Tensor]:
        device = heads.embedding.device
        counts = [len(state) for state in states]
        columns = [slice(0, count) for count in counts]

        def stacked(name: str) -> Tensor:
            array = getattr(batch, name)
            parts = [torch.from_numpy(array[rows, k]) for k, rows in enumerate(columns)]
            return torch.cat(parts).to(device)

        ids, weights = project_targets(
            stacked("teacher_ids_NKC"),
            stacked("teacher_logprobs_NKC"),
            heads.row_of_token,
            stacked("valid_NK"),
        )
        if self.label_share > 0:
            labels = heads.row_of_token[stacked("labels_NK")]
            ids, weights = mix_targets(ids, weights, labels, self.label_share)
        unembedding, bias = heads.unembedding, None
        if self.negatives:
            rows, bias, ids, weights = sample_rows(ids, weights, len(unembedding), self.negatives)
            unembedding = unembedding[rows]
        losses = sparse_cross_entropy(
            torch.cat(states), unembedding, ids, weights, dtype=self.dtype, bias_V=bias
        )
        return list((losses - target_entropy(weights)).split(counts))
