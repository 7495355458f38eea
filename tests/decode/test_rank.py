"""rank(), with which heads choose their drafts, against the numpy definition of pick (pick_reference)."""

from __future__ import annotations

import numpy as np
import pick_reference as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pick_reference import Params

from mtp_rt import _core
from mtp_rt import _core_testing as native


def expected(
    logits: NDArray[np.float32], ids: NDArray[np.int64], params: Params, position: int, width: int
) -> tuple[list[int], NDArray[np.float64]]:
    """Kept entries by score plus noise, then the filtered ones by score; chances by exp of the scores."""
    z = reference.scores(logits, params)
    noisy = z.astype(np.float64) + reference.noise(params.seed, position, int(ids[-1]) + 1)[ids]
    order = np.lexsort((np.arange(len(z)), -noisy))
    order = order[np.isfinite(z[order])]
    filtered = np.lexsort((np.arange(len(z)), -logits))
    filtered = filtered[~np.isfinite(z[filtered])]
    chosen = np.concatenate([order, filtered])[:width]
    masses = np.exp(z.astype(np.float64))
    return ids[chosen].tolist(), masses[chosen] / masses.sum()


PARAMS = st.builds(
    Params,
    temperature=st.sampled_from([0.05, 0.7, 1.0, 3.0]),
    top_p=st.sampled_from([1.0, 0.95, 0.5]),
    top_k=st.sampled_from([0, 1, 3, 40]),
    min_p=st.sampled_from([0.0, 0.02]),
    seed=st.integers(0, 2**64 - 1),
)


@settings(max_examples=150, deadline=None)
@given(
    params=PARAMS,
    position=st.integers(0, 2**40),
    width=st.integers(1, 8),
    size=st.sampled_from([32, 64, 96, 500, 1000]),
    spread=st.sampled_from([0.02, 1.0, 4.0]),
    seed=st.integers(0, 2**31),
)
def test_candidates_are_the_definitions(
    *, params: Params, position: int, width: int, size: int, spread: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = np.round(rng.standard_normal(size) * spread, 2).astype(np.float32)
    ids = np.sort(rng.choice(4000, size, replace=False))
    tokens, chances = native.rank(logits, ids.tolist(), params.native(), position, width)
    wanted, probabilities = expected(logits, ids, params, position, width)
    assert tokens == wanted
    np.testing.assert_allclose(chances, probabilities, rtol=1e-4, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(PARAMS, st.integers(0, 2**40), st.integers(0, 2**31))
def test_over_the_whole_vocabulary_the_first_is_the_pick(params: Params, position: int, seed: int) -> None:
    logits = (np.random.default_rng(seed).standard_normal(777) * 3).astype(np.float32)
    tokens, _ = native.rank(logits, [], params.native(), position, 3)
    assert tokens[0] == _core.pick(logits, params.native(), position)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_gives_no_chance(value: float) -> None:
    logits = np.linspace(0, 1, 64, dtype=np.float32)
    logits[40] = value
    tokens, chances = native.rank(logits, list(range(5, 133, 2)), Params().native(), 0, 2)
    assert (tokens, chances) == ([5, 7], [0.0, 0.0])
