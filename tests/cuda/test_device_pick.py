"""The pick of the CUDA kernel against the host's: its body runs on the host, its threads in any order."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from device_sampling import SHAPES, device_picks
from hypothesis import given, settings
from hypothesis import strategies as st
from pick_cases import allowed_tokens, filters, make_logits, mask_words, penalties
from pick_reference import Params

from mtp_rt import _core
from mtp_rt import _core_testing as native

params = filters([0.0, 1e-40, 0.01, 0.3, 0.7, 1.0, 1.5, 100.0])
VOCABS = [1, 2, 3, 63, 64, 65, 200, 513, 1500]


@settings(max_examples=400, deadline=None)
@given(params, st.sampled_from(SHAPES), st.sampled_from(VOCABS), st.integers(0, 2**40))
def test_equals_the_host(params: Params, shape: str, vocab: int, position: int) -> None:
    logits = make_logits(shape, vocab, params.seed % 1000)
    expected = _core.pick(logits, params.native(), position)
    assert device_picks(logits, params.native(), position) == expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "params",
    [
        Params(),
        Params(temperature=0.8, top_p=0.95),
        Params(temperature=1.5, top_p=0.9, top_k=5000),
        Params(temperature=0.05, top_k=40, min_p=0.05),
    ],
    ids=str,
)
def test_equals_the_host_over_a_real_vocabulary(shape: str, params: Params) -> None:
    logits = make_logits(shape, 49_152, 7)
    expected = native.pick_many(logits, params.native(), 100, 4)
    assert [native.device_pick(logits, params.native(), 100 + i, threads=64) for i in range(4)] == expected


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([0.0, 0.7, 1.0]), st.integers(0, 2**32))
def test_penalties_bias_and_masks_come_first(data: st.DataObject, temperature: float, seed: int) -> None:
    """The drafts that a row follows count as generated; forbidden tokens are one more mask."""
    vocab = 70
    ids = st.integers(0, vocab - 1)
    wanted, counts = penalties(data, temperature, seed, vocab)
    params = wanted.native()
    path = data.draw(st.lists(st.sampled_from(data.draw(st.lists(ids, min_size=1, max_size=3))), max_size=6))
    forbidden = data.draw(st.lists(ids, max_size=3))
    allowed = allowed_tokens(data, seed, vocab)
    words = mask_words(allowed)
    logits = make_logits("tied", vocab, seed % 997)

    merged = {token: (in_prompt, generated) for token, in_prompt, generated in counts}
    for token, times in Counter(path).items():
        in_prompt, generated = merged.get(token, (0, 0))
        merged[token] = (in_prompt, generated + times)
    mask = allowed.copy()
    mask[forbidden] = False
    host_words = mask_words(mask)
    host_counts = [(token, *both) for token, both in merged.items()]
    more = {"counts": counts, "path": path, "forbidden": forbidden, "allowed": words}
    expected = _core.pick(logits, params, 9, host_counts, host_words) if mask.any() else -2
    assert device_picks(logits, params, 9, **more) == expected


def test_a_token_twice_on_the_path_hides_none_behind_it() -> None:
    """Of three drafts the last one counts as well, however few threads look at them."""
    logits = np.array([0.0, 1.0, 1.0], np.float32)
    params = _core.SamplingParams(temperature=0.0, presence_penalty=-2.0)
    assert _core.pick(logits, params, 0, [(0, 0, 2), (2, 0, 1)]) == 2
    assert device_picks(logits, params, 0, path=[0, 0, 2]) == 2


def test_a_token_twice_on_the_path_counts_twice() -> None:
    """One frequency penalty leaves the token ahead of the other, two put it behind."""
    logits = np.array([1.0, 0.0], np.float32)
    params = _core.SamplingParams(temperature=0.0, frequency_penalty=0.75)
    assert [device_picks(logits, params, 0, path=path) for path in ([0], [0, 0])] == [0, 1]


@pytest.mark.parametrize("bit", range(23))
def test_scores_that_agree_down_to_a_bit_are_told_apart(bit: int) -> None:
    """The highest score is 0; the others share every bit above `bit`, so a search needs all below."""
    below = np.random.default_rng(bit).integers(0, 2 << bit, 63, dtype=np.uint32)
    others = -(np.uint32(0x3F800000) + below).view(np.float32)
    logits = np.concatenate([np.zeros(1, np.float32), others])
    for top_k in (6, 23, 50):
        params = _core.SamplingParams(temperature=1.0, top_k=top_k, seed=bit)
        for position in range(8):
            assert device_picks(logits, params, position) == _core.pick(logits, params, position)


@settings(max_examples=200, deadline=None)
@given(params, st.sampled_from(SHAPES), st.integers(0, 10**6))
def test_a_draft_vocabulary_draws_the_noise_of_its_tokens(params: Params, shape: str, position: int) -> None:
    rng = np.random.default_rng(params.seed % 1000)
    ids = np.sort(rng.choice(5000, size=150, replace=False)).astype(np.int32).tolist()
    logits = make_logits(shape, 150, params.seed % 1000)
    found = device_picks(logits, params.native(), position, ids=ids)
    if params.temperature == 0:
        assert found == ids[int(np.argmax(logits))]
    else:
        assert [found] == native.rank(logits, ids, params.native(), position, 1)[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("at", [0, 17, 2047])
def test_a_broken_row_is_told(bad: float, temperature: float, at: int) -> None:
    logits = make_logits("masked", 2048, 1)
    logits[at] = bad
    assert device_picks(logits, _core.SamplingParams(temperature=temperature), 0) == -1


def test_a_row_without_a_choice_is_told() -> None:
    nothing = np.full(40, -np.inf, np.float32)
    assert device_picks(nothing, _core.SamplingParams(), 0) == -2
    masked = np.zeros(2, np.uint32)
    assert device_picks(np.zeros(40, np.float32), _core.SamplingParams(), 0, allowed=masked) == -2
    nothing[3] = np.nan
    assert device_picks(nothing, _core.SamplingParams(), 0) == -1


@given(st.lists(st.floats(-30, 0, width=32), min_size=1))
def test_units_of_mass_are_those_of_the_host(zs: list[float]) -> None:
    assert native.mass_units_agree(zs)


def test_units_of_mass_around_every_rounding() -> None:
    """Between 2^-33 and 2^-7 units have fractions; the halves among them go to the even neighbour."""
    zs = -np.geomspace(2.0, 23.5, 200_000, dtype=np.float32)
    assert native.mass_units_agree(zs.tolist())


@settings(max_examples=400)
@given(st.floats(-40, 0, width=32), st.integers(0, 2**32 - 1), st.floats(-2, 2))
def test_noise_is_passed_over_only_where_it_cannot_decide(z: float, bits: int, above: float) -> None:
    """Around the score that a word gives, and with words near the highest, where the bound is tight."""
    for word in (bits, 2**32 - 1 - bits % 1000):
        u = (word + 0.5) / 2**32
        score = z - np.log(-np.log(u))
        if native.may_reach(z, np.float32(score + above), word):
            continue
        assert above > 0
    assert not native.may_reach(-30.0, 20.0, 2**31)


def test_params_reach_the_kernel_whole() -> None:
    """Each field, set alone, changes some pick: none is dropped on the way to the device."""
    logits = make_logits("peaked", 300, 3)
    base = Params(temperature=1.3, seed=5)
    changes = {"temperature": 0.0, "top_p": 0.2, "top_k": 1, "min_p": 0.9, "seed": 6}
    changes |= {"presence_penalty": 2.0, "frequency_penalty": 2.0, "repetition_penalty": 2.0}
    counts = [(int(token), 1, 3) for token in np.argsort(-logits)[:40]]

    def picks(params: Params) -> list[int]:
        native_params = params.native()
        return [native.device_pick(logits, native_params, i, counts=counts) for i in range(40)]

    plain = picks(base)
    for field, value in changes.items():
        assert picks(dataclasses.replace(base, **{field: value})) != plain, field
