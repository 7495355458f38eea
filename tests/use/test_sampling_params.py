"""SamplingParams against the ranges of its docstring."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt.errors import ArgumentError
from mtp_rt.sampling_params import SamplingParams

# Field, lowest and highest allowed number, whether the lowest itself is allowed.
REALS = [
    ("temperature", 0.0, 100.0, True),
    ("top_p", 0.0, 1.0, False),
    ("min_p", 0.0, 1.0, True),
    ("presence_penalty", -2.0, 2.0, True),
    ("frequency_penalty", -2.0, 2.0, True),
    ("repetition_penalty", 0.0, 2.0, False),
]
INTEGERS = [
    ("top_k", 0, 2**31 - 1),
    ("max_tokens", 1, 2**31 - 1),
    ("seed", 0, 2**64 - 1),
    ("logprobs", 0, 20),
]


@pytest.mark.parametrize(("name", "low", "high", "closed"), REALS)
@settings(deadline=None)
@given(value=st.floats(-300, 300) | st.sampled_from([math.nan, math.inf, -math.inf]))
def test_real_fields_accept_exactly_their_range(
    name: str, low: float, high: float, closed: bool, value: float
) -> None:
    inside = low <= value <= high and (closed or value > low)
    if inside:
        assert getattr(SamplingParams(**{name: value}), name) == value
    else:
        with pytest.raises(ArgumentError, match=name):
            SamplingParams(**{name: value})


@pytest.mark.parametrize(("name", "low", "high", "closed"), REALS)
def test_the_ends_of_a_range_belong_to_it_as_documented(
    name: str, low: float, high: float, closed: bool
) -> None:
    SamplingParams(**{name: high})
    if closed:
        SamplingParams(**{name: low})
    else:
        with pytest.raises(ArgumentError, match=name):
            SamplingParams(**{name: low})


@pytest.mark.parametrize(("name", "low", "high"), INTEGERS)
def test_integer_fields_accept_exactly_their_range(name: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(SamplingParams(**{name: value}), name) == value
    for bad in (low - 1, high + 1, 1.5, True, "3"):
        with pytest.raises(ArgumentError, match=name):
            SamplingParams(**{name: bad})


def test_numpy_numbers_become_plain_ones() -> None:
    params = SamplingParams(temperature=np.float32(0.5), max_tokens=np.int64(7))
    assert type(params.temperature) is float
    assert type(params.max_tokens) is int


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": "hot"},
        {"temperature": None},
        {"min_tokens": 5, "max_tokens": 4},
        {"stop": [""]},
        {"stop": [7]},
        {"stop": ["x"] * 17},
        {"stop": "ü" * 129},
        {"stop_token_ids": [-1]},
        {"stop_token_ids": "12"},
        {"stop_token_ids": [1] * 1025},
        {"logit_bias": [1, 2]},
        {"logit_bias": {-1: 0.0}},
        {"logit_bias": {3: math.nan}},
        {"logit_bias": {3: 101.0}},
        {"logit_bias": dict.fromkeys(range(1025), 0.0)},
        {"ignore_eos": 1},
        {"skip_special_tokens": None},
        {"include_stop_str_in_output": "yes"},
    ],
    ids=str,
)
def test_errors_name_the_field(fields: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(fields))):
        SamplingParams(**fields)


def test_limits_themselves_are_allowed() -> None:
    params = SamplingParams(stop=["ü" * 128] * 16, logit_bias=dict.fromkeys(range(1024), -100.0), logprobs=20)
    assert len(params.stop_strings) == 16


def test_one_stop_string_may_stand_alone() -> None:
    assert SamplingParams(stop="end").stop_strings == ("end",)
    assert SamplingParams().stop_strings == ()
