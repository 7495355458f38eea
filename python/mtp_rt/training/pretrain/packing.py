"""Documents one behind the other, cut into sequences whose labels stay within their documents.

Shape letters: B sequences, T positions, N tokens ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError
from mtp_rt.models.head_by_head import TokenBatch


@dataclass(frozen=True)
class Packed:
    """Tokens of many documents.

    Attributes:
        tokens: ids, document after document; each ends with the end token.
        starts: where each document begins, ascending from 0.
        bytes: of text that they stand for.
    """

    tokens: NDArray[np.integer]
    starts: NDArray[np.int64]
    bytes: int

    @classmethod
    def of(cls, documents: Sequence[NDArray[np.int32]], bytes: int) -> Packed:
        """Return the documents in this order."""
        lengths = [len(document) for document in documents]
        starts = np.concatenate(([0], np.cumsum(lengths)))[:-1].astype(np.int64)
        return cls(np.concatenate(documents), starts, bytes)

    def begins(self, sequence: int, offset: int = 0) -> NDArray[np.int64]:
        """Return where the sequences begin that follow one another from `offset` on.

        Raises:
            ArgumentError: there is not one whole sequence.
        """
        if len(self.tokens) < sequence:
            raise ArgumentError(
                f"training.sequence: {sequence} tokens are more than the text has, {len(self.tokens)}; "
                "give more text, or set a shorter one"
            )
        room = len(self.tokens) - sequence
        return np.arange(offset if offset <= room else 0, room + 1, sequence, dtype=np.int64)

    def batch(self, begins: NDArray[np.int64], sequence: int, n: int) -> TokenBatch:
        """Return the sequences at these places, with the n tokens behind every position.

        A sequence's last labels lie behind it. A token is a label where its document is the position's own.
        """
        at_BT = begins[:, None] + np.arange(sequence)
        target_BTN = at_BT[:, :, None] + np.arange(1, n + 1)
        ends = np.append(self.starts[1:], len(self.tokens))
        end_BT = ends[np.searchsorted(self.starts, at_BT, side="right") - 1]
        ahead_BTN = self.tokens[np.minimum(target_BTN, len(self.tokens) - 1)]
        return TokenBatch(
            torch.from_numpy(self.tokens[at_BT].astype(np.int64)),
            torch.from_numpy(ahead_BTN.astype(np.int64)),
            torch.from_numpy(target_BTN < end_BT[:, :, None]),
        )


class Order:
    """Which sequences each step reads, worked out from the seed alone.

    Every pass cuts the text at another offset and takes its sequences in another order; the last few that do
    not fill a step are left to the next pass.

    Args:
        packed: the text.
        sequence: its sequences' length.
        batch: sequences of a step.
        seed: of the order.
    """

    def __init__(self, packed: Packed, sequence: int, batch: int, seed: int) -> None:
        self._packed, self._sequence, self._batch, self._seed = packed, sequence, batch, seed
        self._epoch = -1
        self._begins = packed.begins(sequence)[:0]
        usable = (len(packed.tokens) - sequence) // sequence  # at any offset, at least
        self._steps = max(1, usable // batch)
        self._whole = usable >= batch

    @property
    def steps_per_epoch(self) -> int:
        """How many steps one pass takes."""
        return self._steps

    def step(self, step: int) -> NDArray[np.int64]:
        """Return where the sequences of a step begin, counted from 0."""
        epoch, at = divmod(step, self._steps)
        if epoch != self._epoch:
            generator = np.random.default_rng([self._seed, epoch])
            begins = self._packed.begins(self._sequence, int(generator.integers(self._sequence)))
            if self._whole:
                self._begins = generator.permutation(begins)
            else:  # less text than one step: sequences come up several times
                self._begins = generator.choice(begins, self._batch)
            self._epoch = epoch
        return self._begins[at * self._batch : (at + 1) * self._batch]
