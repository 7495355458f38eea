"""Measures of generated text: loops, repetition, script."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LONGEST_PERIOD = 96
LEAST_PERIODS = 5
LEAST_TOKENS = 48
KEPT_PERIODS = 2


def loop_cut(tokens: Sequence[int]) -> int | None:
    """Return how many tokens to keep of a text that runs into a heavy loop, or None if it does not.

    A heavy loop repeats a phrase of up to 96 tokens exactly, at least 5 times and over at least 48 tokens.
    Its first two rounds are kept: shorter repetition is what a model serves, too.
    """
    text = np.asarray(tokens, np.int64)
    cuts = []
    for period in range(1, min(LONGEST_PERIOD, len(text) // LEAST_PERIODS) + 1):
        needed = max(LEAST_PERIODS * period, LEAST_TOKENS) - period
        start = _first_run(text[period:] == text[:-period], needed)
        if start is not None:
            cuts.append(start + KEPT_PERIODS * period)
    return min(cuts, default=None)


def _first_run(equal: np.ndarray, length: int) -> int | None:
    """Return where the first run of `length` true values begins."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], equal.view(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    long = np.flatnonzero(ends - starts >= length)
    return int(starts[long[0]]) if len(long) else None


def repetition(tokens: Sequence[int], n: int = 4) -> float:
    """Return the share of n-grams that occurred before in the same text, 0 .. 1."""
    count = len(tokens) - n + 1
    if count <= 0:
        return 0.0
    return 1.0 - len({tuple(tokens[i : i + n]) for i in range(count)}) / count


def script_of(text: str) -> str:
    """Return "latin" if nine in ten letters of `text` are Latin, "other" if not, "none" without letters."""
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return "none"
    latin = sum(ord(letter) < 0x250 or 0x1E00 <= ord(letter) < 0x1F00 for letter in letters)
    return "latin" if 10 * latin >= 9 * len(letters) else "other"
