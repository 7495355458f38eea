"""What one batch of slots teaches the heads.

Shape letters: N slots, K drafts, D hidden, C candidates of the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
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
from mtp_rt.training.distill.unrolled import unrolled


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
            batch: slots in random order, or spans of them.
        """
        states = unrolled(heads, batch, self.dtype, self.rows(len(batch.states_ND)))
        scored = [np.arange(len(state)) for state in states]
        if batch.span:  # all slots were made, for those behind them: score as many as weigh on each draft
            scored = [self._drawn(batch.valid_NK[:, k], k) for k in range(len(states))]
            states = [state[torch.from_numpy(rows)] for state, rows in zip(states, scored, strict=True)]
        losses = self._divergences(heads, states, scored, batch)
        loss = torch.stack([part.sum() for part in losses]).sum() / sum(map(len, losses))
        return loss, [part.detach().mean().item() for part in losses]

    def _drawn(self, valid_N: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
        found = torch.from_numpy(np.flatnonzero(valid_N))
        return found[torch.randperm(len(found))[: self.rows(len(found))[k]]].numpy()

    def _divergences(
        self, heads: ExtraHeads, states: list[Tensor], scored: list[NDArray[np.int64]], batch: SlotBatch
    ) -> list[Tensor]:
        device = heads.embedding.device

        def stacked(name: str) -> Tensor:
            array = getattr(batch, name)
            return torch.cat([torch.from_numpy(array[rows, k]) for k, rows in enumerate(scored)]).to(device)

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
        return list((losses - target_entropy(weights)).split([len(rows) for rows in scored]))
