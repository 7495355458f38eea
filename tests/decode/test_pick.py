"""pick() against the numpy definition (pick_reference), token by token."""

from __future__ import annotations

import numpy as np
import pick_reference as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pick_cases import SHAPES, allowed_tokens, filters, make_logits, mask_words, penalties
from pick_reference import Params

from mtp_rt import _core
from mtp_rt import _core_testing as native
from mtp_rt.errors import ArgumentError, EngineError

params = filters([1e-40, 0.01, 0.3, 0.7, 1.0, 1.5, 100.0])


@settings(max_examples=400, deadline=None)
@given(
    params, st.sampled_from(SHAPES), st.sampled_from([1, 2, 3, 63, 64, 65, 200, 513]), st.integers(0, 2**40)
)
def test_equals_the_definition(params: Params, shape: str, vocab: int, position: int) -> None:
    logits = make_logits(shape, vocab, params.seed % 1000)
    assert _core.pick(logits, params.native(), position) == reference.pick(logits, params, position)
    expected = reference.scores(logits, params) > -np.inf
    assert native.kept(logits, params.native()) == expected.tolist()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "params",
    [
        Params(),
        Params(temperature=0.8, top_p=0.95),
        Params(temperature=1.5, top_p=0.9, top_k=5000),
        Params(min_p=0.05),
        Params(top_k=40, top_p=0.8),
    ],
    ids=str,
)
def test_equals_the_definition_over_a_real_vocabulary(shape: str, params: Params) -> None:
    logits = make_logits(shape, 49_152, 7)
    picks = native.pick_many(logits, params.native(), 100, 12)
    scores = reference.scores(logits, params).astype(np.float64)
    noises = [reference.noise(params.seed, 100 + i, len(logits)) for i in range(12)]
    assert picks == [int(np.argmax(scores + noise)) for noise in noises]


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([0.0, 0.7, 1.0]), st.integers(0, 2**32))
def test_penalties_bias_and_mask_come_first(data: st.DataObject, temperature: float, seed: int) -> None:
    vocab = 70
    params, counted = penalties(data, temperature, seed, vocab)
    allowed = allowed_tokens(data, seed, vocab)
    words = mask_words(allowed)
    logits = make_logits("tied", vocab, seed % 997)
    assert _core.pick(logits, params.native(), 9, counted, words) == reference.pick(
        logits, params, 9, counted, allowed
    )


def test_each_penalty_by_hand() -> None:
    """Worked examples: repetition sees prompt and text, presence and frequency the text alone."""

    def winner(counts: list[tuple[int, int, int]], **penalty: float) -> int:
        logits = np.array([2.0, 1.5, -1.0], np.float32)
        return _core.pick(logits, _core.SamplingParams(**penalty), 0, counts)

    assert winner([]) == 0
    assert winner([(0, 1, 0)], repetition_penalty=1.5) == 1  # 2 / 1.5 < 1.5
    assert winner([(0, 1, 0)], presence_penalty=2.0, frequency_penalty=2.0) == 0
    assert winner([(0, 0, 1)], presence_penalty=0.6) == 1
    assert winner([(0, 0, 2)], frequency_penalty=0.3) == 1
    assert winner([(0, 0, 1)], frequency_penalty=0.3) == 0


def test_greedy_takes_the_lowest_id_among_equals() -> None:
    for vocab in (2, 64, 1023, 1024, 5000):
        logits = np.zeros(vocab, np.float32)
        logits[0] = -1.0
        assert _core.pick(logits, _core.SamplingParams(), 0) == 1
        logits[[1, vocab - 1]] = 0.5
        assert _core.pick(logits, _core.SamplingParams(), 0) == 1
    assert _core.pick(np.array([-0.0, 0.0], np.float32), _core.SamplingParams(), 0) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("at", [0, 17, 1040, 2047])
def test_a_broken_row_is_an_error(bad: float, temperature: float, at: int) -> None:
    logits = make_logits("masked", 2048, 1)
    logits[at] = bad
    with pytest.raises(EngineError, match="NaN"):
        _core.pick(logits, _core.SamplingParams(temperature=temperature), 0)


def test_a_row_without_a_choice_is_an_error() -> None:
    logits = np.full(40, -np.inf, np.float32)
    with pytest.raises(EngineError, match="no token is allowed"):
        _core.pick(logits, _core.SamplingParams(), 0)
    with pytest.raises(EngineError, match="no token is allowed"):
        _core.pick(np.zeros(40, np.float32), _core.SamplingParams(), 0, [], np.zeros(2, np.uint32))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", 101.0),
        ("temperature", float("inf")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", float("nan")),
        ("top_k", -1),
        ("min_p", -0.1),
        ("min_p", 1.5),
        ("presence_penalty", 2.5),
        ("frequency_penalty", float("nan")),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", 2.1),
        ("logit_bias", {64: 1.0}),
        ("logit_bias", {-1: 1.0}),
        ("logit_bias", {1: float("inf")}),
    ],
)
def test_parameters_out_of_range_are_named(field: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=field):
        _core.pick(np.zeros(64, np.float32), _core.SamplingParams(**{field: value}), 0)  # type: ignore[arg-type]


def test_counts_and_masks_must_fit_the_vocabulary() -> None:
    logits, params = np.zeros(64, np.float32), _core.SamplingParams(repetition_penalty=1.1)
    with pytest.raises(ArgumentError, match="counts: token 64"):
        _core.pick(logits, params, 0, [(64, 1, 0)])
    with pytest.raises(ArgumentError, match="allowed"):
        _core.pick(logits, params, 0, [], np.ones(1, np.uint32))
