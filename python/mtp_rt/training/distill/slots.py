"""Recorded shards as training examples: slots, each with the tokens and teachers behind it.

A slot is a position p of a recorded text: its trunk state z_p, and for every draft k the token at p + k that
it is made from, the token at p + 1 + k that it should guess, and the main head's distribution of that token,
which stands in row p + k. Drafts whose token is not the model's own, or behind the text's end, carry no loss.

Shape letters: N slots, K drafts, D hidden, L tapped layers, C candidates of the teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError
from mtp_rt.training.distill.shards import SPLITS, read_shard, shard_paths


@dataclass(frozen=True)
class SlotBatch:
    """What some slots hold, as arrays.

    Attributes:
        states_ND: float32 trunk states.
        taps_NLD: float32 outputs of tapped layers; None where none were recorded.
        tokens_NK: the token that draft k is made from.
        labels_NK: the token that draft k should guess.
        teacher_ids_NKC: the main head's likeliest tokens there.
        teacher_logprobs_NKC: float32, in nats.
        valid_NK: whether draft k carries loss.
        span: how many consecutive slots of one text follow each other; 0: each stands alone.
    """

    states_ND: NDArray[np.float32]
    taps_NLD: NDArray[np.float32] | None
    tokens_NK: NDArray[np.int64]
    labels_NK: NDArray[np.int64]
    teacher_ids_NKC: NDArray[np.int64]
    teacher_logprobs_NKC: NDArray[np.float32]
    valid_NK: NDArray[np.bool_]
    span: int = 0


class SlotSet:
    """The slots of one split over all shards of a folder.

    Args:
        folder: the shards.
        split: "train", "dev" or "held_out".
        drafts: K.
        names: the shards to take; None: all that are there.
        greedy: only texts that were written at temperature 0.

    Attributes:
        names: the shards.
        slots_each: slots that one index of a batch stands for.

    Raises:
        ArgumentError: there are none, or they do not fit together.
        ModelFormatError: a shard is damaged.
    """

    slots_each = 1

    def __init__(
        self, folder: Path, split: str, drafts: int, names: list[str] | None = None, *, greedy: bool = False
    ) -> None:
        self._tap_scale_LD: NDArray[np.float32] | None = None
        self.names = [path.name for path in shard_paths(folder)] if names is None else names
        if not self.names:
            raise ArgumentError(f"{folder} holds no recorded states; run the stages write and record first")
        self.drafts = drafts
        self._shards: list[Mapping[str, NDArray[Any]]] = [read_shard(folder / name) for name in self.names]
        self._begins = np.cumsum([0, *(len(shard["tokens"]) for shard in self._shards)])
        parts = [_slots_of(shard, SPLITS[split], drafts, greedy) for shard in self._shards]
        begins = self._begins[:-1]
        self._rows = np.concatenate([rows + begin for (rows, _), begin in zip(parts, begins, strict=True)])
        self._valid = np.concatenate([valid for _, valid in parts])
        # The row behind the last one of each row's text.
        self._ends = np.concatenate(
            [_ends_of_rows(shard) + begin for shard, begin in zip(self._shards, begins, strict=True)]
        )

    def __len__(self) -> int:
        return len(self._rows)

    def scale_taps(self, scale_LD: NDArray[np.float32]) -> None:
        """Multiply taps by this from now on, as they are read."""
        self._tap_scale_LD = scale_LD

    def batch(self, slots_N: NDArray[np.int64]) -> SlotBatch:
        """Return what these slots hold, in their order."""
        return self._read(self._rows[slots_N], self._valid[slots_N])

    def _read(self, rows_N: NDArray[np.int64], valid_NK: NDArray[np.bool_]) -> SlotBatch:
        """Return what the slots of these rows hold; behind a text's end its last token stands in."""
        last_N1 = self._ends[rows_N][:, None] - 1
        made_from_NK = np.minimum(rows_N[:, None] + np.arange(1, self.drafts + 1), last_N1)
        return SlotBatch(
            self._gather("states", rows_N).astype(np.float32),
            self._taps(rows_N),
            self._gather("tokens", made_from_NK).astype(np.int64),
            self._gather("tokens", np.minimum(made_from_NK + 1, last_N1)).astype(np.int64),
            self._gather("top_ids", made_from_NK).astype(np.int64),
            self._gather("top_logprobs", made_from_NK).astype(np.float32),
            valid_NK,
        )

    def _taps(self, rows_N: NDArray[np.int64]) -> NDArray[np.float32] | None:
        if "taps" not in self._shards[0]:
            return None
        taps_NLD = self._gather("taps", rows_N).astype(np.float32)
        return taps_NLD if self._tap_scale_LD is None else taps_NLD * self._tap_scale_LD

    def first(self, slots: int) -> NDArray[np.int64]:
        """Return the indices that hold the first so many slots."""
        return np.arange(min(slots, len(self)))

    def spread(self, slots: int) -> NDArray[np.int64]:
        """Return indices at equal distances that hold about so many slots."""
        count = min(max(1, slots // self.slots_each), len(self))
        return np.linspace(0, len(self) - 1, count).astype(np.int64)

    def token_counts(self, vocab_size: int) -> NDArray[np.int64]:
        """Return how often each token is a target of the first draft: [vocab_size]."""
        counts = np.zeros(vocab_size, np.int64)
        for begin, shard in zip(self._begins, self._shards, strict=False):
            inside = (self._rows >= begin) & (self._rows < begin + len(shard["tokens"]))
            counts += np.bincount(shard["tokens"][self._rows[inside] - begin + 2], minlength=vocab_size)
        return counts

    def _gather(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        flat = rows.ravel()
        owner = np.searchsorted(self._begins, flat, side="right") - 1
        sample = self._shards[0][name]
        found = np.empty((len(flat), *sample.shape[1:]), sample.dtype)
        for number in np.unique(owner):
            here = owner == number
            found[here] = self._shards[number][name][flat[here] - self._begins[number]]
        return found.reshape(*rows.shape, *sample.shape[1:])


def _slots_of(
    shard: Mapping[str, NDArray[Any]], split: int, drafts: int, greedy: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the rows of a shard's slots of a split, and which of their drafts carry loss, [N, K]."""
    valid = loss_bearing(shard, drafts)
    starts = np.asarray(shard["starts"], np.int64)
    chosen = np.repeat(chosen_texts(shard, split, greedy), starts[1:] - starts[:-1])
    slots = np.flatnonzero(chosen & valid[:, 0])
    return slots, valid[slots]


def chosen_texts(shard: Mapping[str, NDArray[Any]], split: int, greedy: bool) -> NDArray[np.bool_]:
    """Return which texts of a shard belong to a split, or to its greedy part."""
    wanted: NDArray[np.bool_] = np.asarray(shard["splits"]) == split
    return wanted & (np.asarray(shard["temperatures"]) == 0) if greedy else wanted


def loss_bearing(shard: Mapping[str, NDArray[Any]], drafts: int) -> NDArray[np.bool_]:
    """Return for every row of a shard which drafts of its slot carry loss, [rows, K].

    Drafting can begin where the token behind a slot and the one after that are the model's own; it ends with
    the text.
    """
    own = np.asarray(shard["loss_mask"], bool)
    ends = _ends_of_rows(shard)
    rows, padded = np.arange(len(own)), np.concatenate((own, np.zeros(drafts + 2, bool)))
    labels = [rows + 1 + k for k in range(1, drafts + 1)]
    valid = np.stack([padded[at] & (at < ends) for at in labels], axis=1)
    valid[:, 0] &= padded[rows + 1]
    return np.logical_and.accumulate(valid, axis=1)


def _ends_of_rows(shard: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    starts = np.asarray(shard["starts"], np.int64)
    return np.repeat(starts[1:], starts[1:] - starts[:-1])
