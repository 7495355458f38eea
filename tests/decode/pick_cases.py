"""Rows and parameters to pick with, for tests of the host's pick and of the kernel's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from pick_reference import Counts, Params

SHAPES = ["peaked", "flat", "tied", "masked", "equal"]
EXTREMES = ["wide", "tiny"]  # more shapes: rows that overflow, rows of subnormal numbers


def make_logits(shape: str, vocab: int, seed: int) -> NDArray[np.float32]:
    """Rows of different character: language-like, nearly uniform, with many ties, partly -inf, constant."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(vocab) * 3
    if shape == "peaked":
        logits[rng.integers(vocab, size=5)] += 12
    elif shape == "flat":
        logits *= 0.01
    elif shape == "tied":
        logits = np.round(logits)
    elif shape == "masked":
        logits[rng.random(vocab) < 0.5] = -np.inf
        logits[rng.integers(vocab)] = 1.0
    elif shape == "equal":
        logits[:] = -2.5
    elif shape == "wide":
        logits = np.clip(logits * 1e38, -3e38, 3e38)
    else:
        logits *= 1e-40
    return logits.astype(np.float32)


def filters(temperatures: Sequence[float]) -> st.SearchStrategy[Params]:
    """Parameters that change what may be drawn."""
    return st.builds(
        Params,
        temperature=st.sampled_from(temperatures),
        top_p=st.sampled_from([1.0, 0.999, 0.95, 0.5, 0.1, 1e-6]),
        top_k=st.sampled_from([0, 1, 2, 5, 50, 64, 1000]),
        min_p=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
        seed=st.integers(0, 2**64 - 1),
    )


def penalties(data: st.DataObject, temperature: float, seed: int, vocab: int) -> tuple[Params, Counts]:
    """Draw parameters that change scores, and the counts of tokens that they look at."""
    ids = st.integers(0, vocab - 1)
    params = Params(
        temperature=temperature,
        presence_penalty=data.draw(st.sampled_from([0.0, 0.5, -2.0])),
        frequency_penalty=data.draw(st.sampled_from([0.0, 0.3, 2.0])),
        repetition_penalty=data.draw(st.sampled_from([1.0, 1.3, 0.5])),
        seed=seed,
        logit_bias=data.draw(st.dictionaries(ids, st.floats(-5, 5, width=32), max_size=3)),
    )
    count = st.tuples(ids, st.integers(0, 3), st.integers(0, 3))
    return params, data.draw(st.lists(count, unique_by=lambda c: c[0]))


def allowed_tokens(data: st.DataObject, seed: int, vocab: int) -> NDArray[np.bool_]:
    """Draw a mask that leaves at least one token."""
    allowed = np.random.default_rng(seed).random(vocab) < 0.6
    allowed[data.draw(st.integers(0, vocab - 1))] = True
    return allowed


def mask_words(allowed: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return a mask as pick takes it: bit i % 32 of word i / 32."""
    return np.packbits(np.pad(allowed, (0, -len(allowed) % 32)), bitorder="little").view(np.uint32)
