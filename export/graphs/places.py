"""Where the rows of a call stand: their positions, what each may see, and the caches they are written to.

A sequence's place c of a cache holds position c while c < length; the rows of the call are written to the
places length, length + 1, ... in the order in which they are given, whatever their positions (rows of a tree
may share one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtp_rt.export.builder import BOOL, INT32, INT64, MICROSOFT, Graph, Shape
from mtp_rt.export.operators import write_rows
from mtp_rt.model_dir.heads import MAX_HEADS

_FINE = 256  # positions per row of the coarse rotation table
_HIDDEN = -1e30  # added to the score of what a row does not see


@dataclass(frozen=True)
class Places:
    """The rows of one call, as values of the graph.

    Attributes:
        lengths: places that are filled, [B].
        positions: of each row, [B, W].
        visible: which places of the cache a row sees, itself included, [B, W, C].
        cache_positions: the position that each place holds, [B or 1, C].
    """

    lengths: str
    positions: str
    visible: str
    cache_positions: str

    def mask(self, g: Graph, window: int | None = None) -> str:
        """Return what each row sees, [B, 1, W, C]; with `window`, only that many positions back."""
        visible = self.visible
        if window is not None:
            visible = g.op("And", visible, within(g, self.cache_positions, self.positions, window))
        return g.unsqueeze(visible, 1)


def within(g: Graph, cache_positions: str, positions: str, window: int) -> str:
    """Return [B, rows, C]: whether a place lies less than `window` positions before a row's position."""
    first = g.unsqueeze(g.op("Sub", positions, g.constant(window)), 2)
    return g.op("Greater", g.unsqueeze(cache_positions, 1), first)


def tree_places(g: Graph, capacity: str) -> Places:
    """Declare the inputs of rows that form a tree. `capacity` is C, as [1]."""
    positions = g.input("positions", INT64, ["batch", "width"])
    lengths = g.input("lengths", INT64, ["batch"])
    tree = g.input("tree", BOOL, ["batch", "width", "width"])
    width, places = g.size(tree, 1), g.count(capacity)
    offset = g.op("Sub", g.unsqueeze(places, 0), g.unsqueeze(lengths, 1))  # [B, C]; from 0: rows of this call
    last = g.op("Squeeze", g.op("Sub", width, g.constant([1])), g.constant([0]))
    row = g.op("Clip", offset, g.constant(0), last)
    shape = g.op("Concat", g.size(tree, 0), width, capacity, axis=0)
    seen = g.op("GatherElements", tree, g.op("Expand", g.unsqueeze(row, 1), shape), axis=2)
    committed = g.op("Less", offset, g.constant(0))
    given = g.op("Less", offset, width)
    visible = g.op("Or", g.unsqueeze(committed, 1), g.op("And", g.unsqueeze(given, 1), seen))
    held = g.op("Where", committed, places, g.op("GatherElements", positions, row, axis=1))
    return Places(lengths, positions, visible, held)


def chain_places(g: Graph, width: str, capacity: str) -> Places:
    """Declare the input of rows that follow each other. `width` and `capacity` are W and C, as [1]."""
    lengths = g.input("lengths", INT64, ["batch"])
    positions = g.op("Add", g.unsqueeze(lengths, 1), g.unsqueeze(g.count(width), 0))
    places = g.unsqueeze(g.count(capacity), 0)
    visible = g.op("LessOrEqual", g.unsqueeze(places, 1), g.unsqueeze(positions, 2))
    return Places(lengths, positions, visible, places)


def rotation(g: Graph, positions: str) -> tuple[str, str]:
    """Return cosine and sine of every position's angles, [B, rows, S / 2].

    From two small tables, by the addition theorem: position = 256 a + b. Angles computed in the graph would
    lose digits as positions grow; one table of all positions would be stored in every file.
    """
    key = ("rotation", positions)
    if key not in g.memo:
        coarse_cos, coarse_sin, fine_cos, fine_sin = _tables(g)
        a = g.op("Div", positions, g.constant(_FINE))
        b = g.op("Mod", positions, g.constant(_FINE))
        ca, sa = g.op("Gather", coarse_cos, a), g.op("Gather", coarse_sin, a)
        cb, sb = g.op("Gather", fine_cos, b), g.op("Gather", fine_sin, b)
        cos = g.op("Sub", g.op("Mul", ca, cb), g.op("Mul", sa, sb))
        sin = g.op("Add", g.op("Mul", sa, cb), g.op("Mul", ca, sb))
        g.memo[key], g.memo["sine", positions] = cos, sin
    return g.memo[key], g.memo["sine", positions]


def rotation_tables(g: Graph) -> tuple[str, str]:
    """Return cosine and sine of every position's angles, [positions, S / 2], from the same two tables.

    They depend on no input, so a runtime computes them once when it opens the graph.
    """
    key = ("rotation tables",)
    if key not in g.memo:
        coarse_cos, coarse_sin, fine_cos, fine_sin = _tables(g)

        def all_positions(kind: str, a: str, b: str, c: str, d: str) -> str:
            pairs = (
                g.op("Mul", g.unsqueeze(coarse, 1), g.unsqueeze(fine, 0)) for coarse, fine in ((a, b), (c, d))
            )
            return g.reshape(g.op(kind, *pairs), [-1, g.config.head_dim // 2])

        g.memo[key] = all_positions("Sub", coarse_cos, fine_cos, coarse_sin, fine_sin)
        g.memo["sine tables",] = all_positions("Add", coarse_sin, fine_cos, coarse_cos, fine_sin)
    return g.memo[key], g.memo["sine tables",]


def _tables(g: Graph) -> list[str]:
    config = g.config
    half = config.head_dim // 2
    frequencies = config.rope_theta ** (-np.arange(half) / half)
    rows = (config.context + MAX_HEADS) // _FINE + 1
    coarse = np.outer(np.arange(rows) * _FINE, frequencies)
    fine = np.outer(np.arange(_FINE), frequencies)
    tables = (np.cos(coarse), np.sin(coarse), np.cos(fine), np.sin(fine))
    return [g.constant(table, np.float32) for table in tables]


class Cache:
    """Keys and values of one attending layer: inputs NAME.past..., outputs NAME.present..."""

    def __init__(self, g: Graph, prefix: str, index: int) -> None:
        shape: Shape = ["batch", g.config.kv_heads, g.capacity, g.config.head_dim]
        self.graph, self._prefix, self._index, self._shape = g, prefix, index, shape
        self.keys = g.input(f"{prefix}past.{index}.key", g.cache_dtype, shape)
        self.values = g.input(f"{prefix}past.{index}.value", g.cache_dtype, shape)

    def write(self, keys: str, values: str, lengths: str) -> None:
        """Put the rows' keys and values [B, G, W, S] behind those that are filled, and give the result out.

        Past and present may be one buffer.
        """
        g = self.graph
        self.give_out(
            write_rows(g, self.keys, keys, lengths),
            write_rows(g, self.values, values, lengths),
        )

    def give_out(self, keys: str, values: str) -> None:
        """Give out the cache with the rows' keys and values in it."""
        g, self.keys, self.values = self.graph, keys, values
        g.output(f"{self._prefix}present.{self._index}.key", keys, g.cache_dtype, self._shape)
        g.output(f"{self._prefix}present.{self._index}.value", values, g.cache_dtype, self._shape)


class CachedRows:
    """Attention of a call's rows over a cache that they are written to."""

    def __init__(self, cache: Cache, places: Places, mask: str) -> None:
        self._g = cache.graph
        self.cache, self.positions = cache, places.positions
        self._lengths, self._mask = places.lengths, mask

    def context(self, keys: str, values: str) -> tuple[str, str, str]:
        """Return all keys, all values and the mask, for rows with these keys and values [B, G, W, S]."""
        self.cache.write(keys, values, self._lengths)
        return self.cache.keys, self.cache.values, self._mask

    def grouped(self, rows: Sequence[str]) -> str:
        """Return what the rows see, [B, rows, heads x S], from one GroupQueryAttention.

        Args:
            rows: their queries, keys and values [B, rows, ...], not rotated yet; or these side by side.
        """
        g = self._g
        cos, sin = rotation_tables(g)
        mixed, keys, values = g.op_with(
            "GroupQueryAttention",
            3,
            *rows,
            *("" for _ in range(3 - len(rows))),
            self.cache.keys,
            self.cache.values,
            *self._extent(),
            cos,
            sin,
            self.positions,
            self._bias(),
            domain=MICROSOFT,
            num_heads=g.config.heads,
            kv_num_heads=g.config.kv_heads,
            do_rotary=1,
            rotary_interleaved=int(g.config.rope_layout == "interleaved"),
        )
        self.cache.give_out(keys, values)
        return mixed

    def _extent(self) -> tuple[str, str]:
        """Return the index of the last place that is filled after the call, [B], and C, as GQA wants them."""
        g, key = self._g, ("extent", self._lengths)
        if key not in g.memo:
            last = g.op("Sub", g.size(self.positions, 1), g.constant([1]))
            g.memo[key] = g.cast(g.op("Add", self._lengths, last), INT32)
            g.memo["capacity", self._lengths] = g.cast(g.size(self._mask, 3), INT32)
        return g.memo[key], g.memo["capacity", self._lengths]

    def _bias(self) -> str:
        g, key = self._g, ("bias", self._mask)
        if key not in g.memo:
            shown, hidden = (g.constant(value, np.float32) for value in (0.0, _HIDDEN))
            g.memo[key] = g.op("Where", self._mask, shown, hidden)
        return g.memo[key]


def take_rows(g: Graph, x: str, rows: str) -> str:
    """Return the rows [B, R, ...] of x [B, W, ...] that `rows` [B, R] counts."""
    return g.op("GatherND", x, g.unsqueeze(rows, 2), batch_dims=1)
