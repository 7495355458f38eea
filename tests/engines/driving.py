"""Calling an engine row by row: what every engine test needs.

Comparisons are of bits: `bits(x)` is the uint32 view, so that -0.0 differs from 0.0 and a NaN equals itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtp_rt._core import Engine


class Row(NamedTuple):
    """One row of a verify call; `parent` is an index into the call."""

    slot: int
    token: int
    position: int
    parent: int


class Outputs(NamedTuple):
    """Float32 logits [rows, vocab], states [rows, hidden], taps [rows, layers, hidden]."""

    logits: NDArray[np.float32]
    states: NDArray[np.float32]
    taps: NDArray[np.float32]

    def row(self, index: int) -> NDArray[np.uint32]:
        """Return every bit of row `index`."""
        return np.concatenate([bits(part[index]).ravel() for part in self])


def bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return the bit patterns of float32 values."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def chain(engine: Engine, slot: int, tokens: Sequence[int], first: int = 0) -> list[Row]:
    """Return rows that follow a slot's committed positions; the first is row `first` of the call."""
    start = engine.length(slot)
    return [Row(slot, token, start + i, first + i - 1 if i > 0 else -1) for i, token in enumerate(tokens)]


def tree(
    engine: Engine, slot: int, tokens: Sequence[int], parents: Sequence[int], first: int = 0
) -> list[Row]:
    """Return rows of a tree: parents[i] is the place of node i's parent among `tokens`, -1 for the root."""
    depths: list[int] = []
    for parent in parents:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    start = engine.length(slot)
    return [
        Row(slot, token, start + depth, -1 if parent < 0 else first + parent)
        for token, depth, parent in zip(tokens, depths, parents, strict=True)
    ]


def verify(engine: Engine, rows: Sequence[Row], **wants: Any) -> Outputs:
    """Run rows; every row gives every output unless `wants` says otherwise."""
    wanted = [True] * len(rows)
    wants = {"wants_logits": wanted, "wants_state": wanted, "taps": range(engine.info.layers)} | wants
    slots, tokens, positions, parents = ([row[i] for row in rows] for i in range(4))
    return Outputs(*engine.verify(slots, tokens, positions, parents, **wants))


def feed(engine: Engine, slot: int, tokens: Sequence[int], chunk: int = 64) -> None:
    """Commit `tokens` to a slot, `chunk` rows a call."""
    for at in range(0, len(tokens), chunk):
        rows = chain(engine, slot, tokens[at : at + chunk])
        nothing = [False] * len(rows)
        verify(engine, rows, wants_logits=nothing, wants_state=nothing, taps=[])
        engine.commit([(slot, range(len(rows)))])


def run_alone(engine: Engine, tokens: Sequence[int], slot: int = 0) -> Outputs:
    """Return the outputs of every row of a sequence, one row a call, from an empty slot; leaves it empty."""
    engine.release(slot)
    outputs = []
    for token in tokens:
        outputs.append(verify(engine, chain(engine, slot, [token])))
        engine.commit([(slot, [0])])
    engine.release(slot)
    return Outputs(*(np.concatenate(parts) for parts in zip(*outputs, strict=True)))
