"""Filling a slot with tokens that are known already."""

from __future__ import annotations

from collections.abc import Sequence

from mtp_rt import _core

ROWS = 64  # of a call


def feed(engine: _core.Engine, slot: int, tokens: Sequence[int]) -> None:
    """Commit tokens to a slot, several rows a call, without outputs."""
    for start in range(0, len(tokens), ROWS):
        rows = list(tokens[start : start + ROWS])
        first = engine.length(slot)
        places = range(len(rows))
        positions = [first + place for place in places]
        engine.verify(
            [slot] * len(rows), rows, positions, [place - 1 for place in places], [False] * len(rows)
        )
        engine.commit([(slot, places)])
