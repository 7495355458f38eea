"""logprobs() against scipy's log_softmax in float64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from mtp_rt import _core_testing as native
from mtp_rt.errors import ArgumentError


@pytest.mark.parametrize("vocab", [1, 5, 64, 1000, 49_152])
@pytest.mark.parametrize("scale", [0.0, 0.1, 4.0])
def test_equals_log_softmax(vocab: int, scale: float) -> None:
    rng = np.random.default_rng(vocab)
    logits = np.round(rng.standard_normal(vocab) * scale, 2).astype(np.float32)  # with ties
    expected = log_softmax(logits.astype(np.float64))
    order = np.lexsort((np.arange(vocab), -logits))
    chosen = int(rng.integers(vocab))
    entries = native.logprobs(logits, chosen, 20)
    assert [entry[0] for entry in entries] == [chosen, *order[:20].tolist()]
    assert [entry[2] for entry in entries] == [
        int(np.flatnonzero(order == chosen)[0]) + 1,
        *range(1, min(vocab, 20) + 1),
    ]
    assert np.allclose([entry[1] for entry in entries], expected[[entry[0] for entry in entries]], atol=1e-5)


def test_impossible_tokens_have_no_probability() -> None:
    logits = np.array([0.0, -np.inf, 0.0], np.float32)
    assert native.logprobs(logits, 1, 5)[0][1:] == (-np.inf, 3)
    assert [entry[0] for entry in native.logprobs(logits, 1, 5)] == [1, 0, 2]


def test_arguments_are_checked() -> None:
    with pytest.raises(ArgumentError, match="chosen"):
        native.logprobs(np.zeros(3, np.float32), 3, 0)
    with pytest.raises(ArgumentError, match="top"):
        native.logprobs(np.zeros(3, np.float32), 0, -1)
