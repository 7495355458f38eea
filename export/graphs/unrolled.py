"""All depths of the extra heads in one graph, for every wanted row; sequential heads read the best tokens.

A separate block writes all rows of the call to its cache; its wanted rows are scored. A shared block does
so at the first depth; at further depths only the wanted rows run, each over the cache as its row sees it and
over its own drafts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtp_rt.export.builder import FLOAT, INT64, Graph
from mtp_rt.export.graphs.heads import Heads
from mtp_rt.export.graphs.places import Cache, CachedRows, Places, take_rows, within


class OwnDrafts:
    """Attention of wanted rows at further depths of a shared block: the cache, then each row's own drafts."""

    def __init__(self, g: Graph, cache: Cache, rows: Rows, window: int | None) -> None:
        self._g, self._window = g, window
        self._start = take_rows(g, rows.places.positions, rows.wanted)
        self._visible = take_rows(g, rows.places.visible, rows.wanted)
        self._places = rows.places
        self._keys, self._values = [cache.keys], [cache.values]
        count = g.count(g.size(rows.wanted, 1))
        same = g.op("Equal", g.unsqueeze(count, 0), g.unsqueeze(count, 1))
        shape = g.op("Concat", g.size(rows.wanted, 0), g.constant([1, 1, 1]), axis=0)
        self._same = g.op("Expand", g.unsqueeze(same, 0, 1), shape)  # [B, 1, R, R]
        self.positions = self._start

    def next_depth(self) -> None:
        """Let the rows stand one position further."""
        self.positions = self._g.op("Add", self._start, self._g.constant(len(self._keys)))

    def context(self, keys: str, values: str) -> tuple[str, str, str]:
        """Return all keys, all values and the mask, for wanted rows with these keys and values."""
        g = self._g
        self._keys.append(keys)
        self._values.append(values)
        visible = self._visible
        if self._window is not None:
            near = within(g, self._places.cache_positions, self.positions, self._window)
            visible = g.op("And", visible, near)
        drafts = len(self._keys) - 1
        first = 0 if self._window is None else max(0, drafts - self._window)
        mask = g.op("Concat", g.unsqueeze(visible, 1), *[self._same] * (drafts - first), axis=3)
        seen = [self._keys[0], *self._keys[1 + first :]], [self._values[0], *self._values[1 + first :]]
        return g.op("Concat", *seen[0], axis=2), g.op("Concat", *seen[1], axis=2), mask


def drafts_without_cache(heads: Heads, origin: str, chosen: str | None) -> tuple[list[str], list[str]]:
    """Return logits [B, R, V] and best tokens [B, R] of each depth, of bodies that do not attend.

    Args:
        heads: the heads.
        origin: s_0 of the wanted rows, [B, R, D].
        chosen: the token behind each wanted row, [B, R]; None unless sequential.
    """
    logits, ids = [], []
    state, token = origin, chosen
    for k in range(heads.config.count):
        parallel = heads.config.wiring == "parallel"
        source = origin if parallel else state
        module = 0 if heads.config.shared else k
        state = heads.apply(module, source, source, token, None)
        scored, best = heads.score(module, state)
        token = None if chosen is None else best
        logits.append(scored)
        ids.append(best)
    return logits, ids


class Following:
    """The token behind each row: that of the next row, and behind wanted rows the one chosen there."""

    def __init__(self, g: Graph, tokens: str, rows: str, chosen: str) -> None:
        self._g, self._rows = g, rows
        self.tokens = tokens  # [B, W]
        self.advance(chosen)

    def advance(self, chosen: str) -> None:
        """Go one token further; `chosen` [B, R] stands there behind wanted rows."""
        g = self._g
        last = g.constant([np.iinfo(np.int64).max])
        rest = g.op("Slice", self.tokens, g.constant([1]), last, g.constant([1]))
        end = g.op("Slice", self.tokens, g.constant([-1]), last, g.constant([1]))
        shifted = g.op("Concat", rest, end, axis=1)
        self.tokens = g.op("ScatterElements", shifted, self._rows, chosen, axis=1)


@dataclass(frozen=True)
class Rows:
    """The rows of a call, as heads that attend see them.

    Attributes:
        origin: s_0 of every row, [B, W, D].
        wanted: those to draft behind, [B, R].
        places: where all of them stand.
        caches: one for each module.
        following: what sequential heads read; None for others.
    """

    origin: str
    wanted: str
    places: Places
    caches: list[Cache]
    following: Following | None


def drafts_of_blocks(heads: Heads, rows: Rows) -> tuple[list[str], list[str]]:
    """Return logits [B, R, V] and best tokens [B, R] of each depth, of bodies that attend."""
    return _with_shared_block(heads, rows) if heads.config.shared else _with_separate_blocks(heads, rows)


def _with_separate_blocks(heads: Heads, rows: Rows) -> tuple[list[str], list[str]]:
    g, logits, ids = heads.g, [], []
    mask, state, following = rows.places.mask(g, heads.config.window), rows.origin, rows.following
    for module, cache in enumerate(rows.caches):
        source = rows.origin if heads.config.wiring == "parallel" else state
        tokens = None if following is None else following.tokens
        state = heads.apply(module, source, source, tokens, CachedRows(cache, rows.places, mask))
        scored, best = heads.score(module, take_rows(g, state, rows.wanted))
        if following is not None:
            following.advance(best)
        logits.append(scored)
        ids.append(best)
    return logits, ids


def _with_shared_block(heads: Heads, rows: Rows) -> tuple[list[str], list[str]]:
    g = heads.g
    logits: list[str] = []
    ids: list[str] = []
    mask, (cache,) = rows.places.mask(g, heads.config.window), rows.caches
    tokens = None if rows.following is None else rows.following.tokens
    every = heads.apply(0, rows.origin, rows.origin, tokens, CachedRows(cache, rows.places, mask))
    state, own = take_rows(g, every, rows.wanted), OwnDrafts(g, cache, rows, heads.config.window)
    for k in range(heads.config.count):
        if k > 0:
            own.next_depth()
            state = heads.apply(0, state, state, None if tokens is None else ids[-1], own)
        scored, best = heads.score(0, state)
        logits.append(scored)
        ids.append(best)
    return logits, ids


def give_out(heads: Heads, logits: list[str], ids: list[str], names: tuple[str, str], rows: str) -> None:
    """Declare all depths as two outputs: scores [B, R, K, V] and tokens [B, R, K]; `rows` names R."""
    g = heads.g
    stacked = [g.op("Concat", *[g.unsqueeze(x, 2) for x in depths], axis=2) for depths in (logits, ids)]
    g.output(names[0], stacked[0], FLOAT, ["batch", rows, heads.config.count, heads.scores])
    g.output(names[1], stacked[1], INT64, ["batch", rows, heads.config.count])
