"""How many drafts would stand: measured on recorded text, teacher-forced.

Shape letters: N slots, K drafts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mtp_rt.models.heads import ExtraHeads
from mtp_rt.training.distill.slots import SlotBatch, SlotSet
from mtp_rt.training.distill.unrolled import unrolled

_BATCH = 1024


@dataclass(frozen=True)
class Acceptance:
    """What drafts are worth on some text.

    Attributes:
        alpha: chance that draft k stands where the drafts before it stood; [K].
        cumulative: chance C_k that drafts 1 .. k all stand; [K].
        slots: how many slots were asked.
        walked: tokens per step of decoding that steps through the texts, so that most of its steps begin
            where drafts are wrong; None where slots were asked at random.
        by_source: the same for each kind of text, where that is known.
    """

    alpha: tuple[float, ...]
    cumulative: tuple[float, ...]
    slots: int
    walked: float | None = None
    by_source: Mapping[str, Acceptance] = field(default_factory=dict)

    @property
    def tokens_per_step(self) -> float:
        """1 + sum of C_k: what a step yields if every slot is as likely to be one."""
        return 1.0 + sum(self.cumulative)

    @classmethod
    def of(cls, right_NK: NDArray[np.bool_], valid_NK: NDArray[np.bool_]) -> Acceptance:
        """Count drafts that equal the text, over the slots where the text goes on that far."""
        stood_NK = np.logical_and.accumulate(right_NK & valid_NK, axis=1)
        before_NK = np.concatenate((np.ones((len(right_NK), 1), bool), stood_NK[:, :-1]), axis=1)
        asked_K = (before_NK & valid_NK).sum(axis=0)
        alpha = stood_NK.sum(axis=0) / np.maximum(asked_K, 1)
        return cls(tuple(map(float, alpha)), tuple(map(float, np.cumprod(alpha))), len(right_NK))


def walk(stood: Sequence[Sequence[int]]) -> float:
    """Return the tokens per step of decoding through texts.

    Args:
        stood: for each text and each of its positions how many drafts stand when a step begins there: that
            step yields them and one more token.
    """
    tokens = steps = 0
    for counts in stood:
        at = 0
        while at < len(counts):
            tokens += counts[at] + 1
            steps += 1
            at += counts[at] + 1
    return tokens / max(steps, 1)


@torch.no_grad()
def guesses(heads: ExtraHeads, batch: SlotBatch, dtype: torch.dtype) -> NDArray[np.int64]:
    """Return the token that every draft of every slot names, [N, K], each fed with the true tokens."""
    states = unrolled(heads, batch, dtype)
    with torch.autocast(heads.embedding.device.type, dtype, enabled=dtype != torch.float32):
        rows = [heads.logits(state).argmax(dim=-1) for state in states]
    found: NDArray[np.int64] = heads.draft_ids[torch.stack(rows, dim=1)].cpu().numpy()
    return found


def measure(heads: ExtraHeads, slots: SlotSet, chosen: NDArray[np.int64], dtype: torch.dtype) -> Acceptance:
    """Return the acceptance of greedy drafts over the chosen slots, or over those in the chosen spans."""
    heads.eval()
    right, valid = [], []
    size = max(1, _BATCH // slots.slots_each)
    for begin in range(0, len(chosen), size):
        batch = slots.batch(chosen[begin : begin + size])
        asked = batch.valid_NK[:, 0]
        right.append((guesses(heads, batch, dtype) == batch.labels_NK)[asked])
        valid.append(batch.valid_NK[asked])
    return Acceptance.of(np.concatenate(right), np.concatenate(valid))
