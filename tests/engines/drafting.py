"""Drafting with an engine's extra heads: what every test of them needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from driving import bits, feed
from numpy.typing import NDArray

from mtp_rt._core import Engine, SamplingParams

TEXT = [21, 340, 7, 98, 411, 260, 33, 498, 12, 77, 150, 301, 5, 66, 209, 488, 40, 3, 127, 255, 31]
NEXT = 256
GREEDY: Mapping[str, Any] = {}
WARM: Mapping[str, Any] = {"temperature": 0.8, "seed": 11}

Model = Callable[..., Path]


class Drafts(NamedTuple):
    """Tokens and chances [depths, width]."""

    tokens: NDArray[np.int32]
    chances: NDArray[np.float32]

    def same(self, other: Drafts) -> bool:
        return np.array_equal(self.tokens, other.tokens) and np.array_equal(
            bits(self.chances), bits(other.chances)
        )


def draft(
    engine: Engine,
    token: int = NEXT,
    *,
    slot: int = 0,
    count: int = 0,
    width: int = 1,
    params: Mapping[str, Any] = GREEDY,
) -> Drafts:
    """Drafts behind `token` in one slot; count 0: all depths."""
    count = count or engine.info.extra_heads
    tokens, chances = engine.draft([slot], [token], [count], [width], [SamplingParams(**params)])
    return Drafts(tokens.reshape(count, width), chances.reshape(count, width))


def ready(path: Path, text: Sequence[int] = TEXT, *, chunk: int = 64, **options: Any) -> Engine:
    engine = Engine(str(path), **{"threads": 2, "context": 128} | options)
    feed(engine, 0, text, chunk)
    return engine
