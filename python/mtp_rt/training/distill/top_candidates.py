"""The likeliest tokens of rows of logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 256


def top_candidates(logits: NDArray[np.float32], count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the `count` likeliest tokens of each row, best first, ties to the lowest id.

    The maxima of blocks bound the count-th best value from below, so only a few entries need sorting.

    Args:
        logits: [rows, vocab].
        count: 1 .. vocab.

    Returns:
        Ids [rows, count] and log-probabilities [rows, count] under the softmax of the whole row.
    """
    rows, vocab = logits.shape
    whole = vocab - vocab % _BLOCK
    ids = np.empty((rows, count), np.int32)
    logprobs = np.empty((rows, count), np.float32)
    for row in range(rows):
        scores = logits[row]
        maxima = scores[:whole].reshape(-1, _BLOCK).max(axis=1)
        if len(maxima) > count:
            few = np.flatnonzero(scores >= np.partition(maxima, -count)[-count])
        else:
            few = np.arange(vocab)
        best = few[np.lexsort((few, -scores[few]))[:count]]
        top = scores[best[0]]
        ids[row] = best
        logprobs[row] = scores[best] - top - np.log(np.exp(scores - top).sum(dtype=np.float64))
    return ids, logprobs
