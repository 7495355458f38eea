"""Spans of consecutive slots, for heads that attend: a slot's drafts look at the slots before it.

Every row of a text is a slot here, its prompt's too: at run time their keys are in the cache. Those where no
draft carries loss are context. Texts are cut into spans of equal length; the last one of a text is filled up.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtp_rt.training.distill.shards import SPLITS
from mtp_rt.training.distill.slots import SlotBatch, SlotSet, chosen_texts, loss_bearing


class SpanSet(SlotSet):
    """The spans of one split over all shards of a folder; an index stands for a span.

    Args:
        folder, split, drafts, names, greedy: see SlotSet.
        length: slots of a span; fewer where the longest text is shorter.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        drafts: int,
        names: list[str] | None = None,
        *,
        greedy: bool = False,
        length: int = 256,
    ) -> None:
        super().__init__(folder, split, drafts, names, greedy=greedy)
        longest = max(int(np.diff(shard["starts"]).max()) for shard in self._shards) - 1
        self.slots_each = length = min(length, longest)
        self._row_valid = np.concatenate([loss_bearing(shard, drafts) for shard in self._shards])
        spans = []
        for shard, begin in zip(self._shards, self._begins[:-1], strict=True):
            starts = np.asarray(shard["starts"], np.int64) + begin
            for text in np.flatnonzero(chosen_texts(shard, SPLITS[split], greedy)):
                last = starts[text + 1] - 1  # its slot has no token behind it
                for first in range(int(starts[text]), int(last), length):
                    end = min(first + length, last)
                    if self._row_valid[first:end].any():
                        spans.append((first, end))
        self._spans = np.array(spans, np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._spans)

    def first(self, slots: int) -> NDArray[np.int64]:
        """Return the indices of the spans that hold the first so many slots with drafts."""
        counts = [self._row_valid[first:end, 0].sum() for first, end in self._spans]
        return np.arange(min(int(np.searchsorted(np.cumsum(counts), slots)) + 1, len(self)))

    def batch(self, slots_N: NDArray[np.int64]) -> SlotBatch:
        """Return the slots of these spans, one span after the other."""
        first_B1, end_B1 = self._spans[slots_N, :1], self._spans[slots_N, 1:]
        rows_BT = first_B1 + np.arange(self.slots_each)
        inside_BT = rows_BT < end_B1
        rows_N = np.minimum(rows_BT, end_B1 - 1).ravel()
        valid_NK = self._row_valid[rows_N] & inside_BT.reshape(-1, 1)
        return replace(self._read(rows_N, valid_NK), span=self.slots_each)


def examples(attends: bool) -> type[SlotSet]:
    """Return what heads are trained on: spans if they attend, else slots."""
    return SpanSet if attends else SlotSet
