"""Steps whose state lies on the GPU against plain decoding with the host's pick(): the same tokens.

The bodies of the kernels run on the host. The model is a function from a text to logits.
"""

from __future__ import annotations

import numpy as np
import pytest
from device_texts import CONTEXT, VOCAB, WIDTH, Text, ancestors, grow_tree, logits_after, path_tokens, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt import _core
from mtp_rt import _core_testing as native
from mtp_rt.errors import ArgumentError, UnsupportedError

ENDINGS = {0: None, 1: "stop", 2: "length", 3: "error", 4: "empty"}


def check_inputs(inputs: tuple[list[int], ...], text: Text, tree: tuple[list[int], list[int]]) -> None:
    """Verify's inputs as docs/exporting.md describes them."""
    tokens, positions, length, seen = inputs
    drafts, parents = tree
    cached = len(text.tokens) - 1
    assert length == cached
    used = len(drafts) + 1
    assert tokens[:used] == [text.tokens[-1], *drafts]
    assert positions[:used] == [cached + len(list(ancestors(parents, row))) - 1 for row in range(used)]
    visible = np.reshape(seen, (WIDTH, WIDTH))
    for row in range(WIDTH):
        expected = set(ancestors(parents, row)) if row < used else {row}
        assert set(np.flatnonzero(visible[row])) == expected
    assert all(0 <= token < VOCAB for token in tokens)
    assert all(cached <= position < cached + WIDTH for position in positions)


@settings(max_examples=60, deadline=None)
@given(st.lists(texts(), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_commits_what_plain_decoding_chooses(requests: list[Text], seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = [text.plain() for text in requests]
    slots = rng.permutation(5)[: len(requests)].tolist()
    loop = native.DeviceLoop(5, len(requests) + 1, WIDTH, CONTEXT, VOCAB)
    loop.set_slots([*slots, -1])
    for slot, text in zip(slots, requests, strict=True):
        loop.admit(slot, text.request, text.tokens)
    while any(text.ending(text.tokens) is None for text in requests):
        trees = [grow_tree(rng, text) for text in requests]
        logits = np.full((len(requests) + 1, WIDTH, VOCAB), np.nan, np.float32)  # of rows that hold nothing
        running = [text.ending(text.tokens) is None for text in requests]
        for i, (text, (tokens, parents)) in enumerate(zip(requests, trees, strict=True)):
            loop.set_drafts(i, tokens, parents)
            for row in range(len(tokens) + 1):
                logits[i, row] = logits_after(text.tokens + path_tokens(tokens, parents, row))
        for inputs, text, tree, runs in zip(loop.lay_rows(), requests, trees, running, strict=False):
            if runs:
                check_inputs(inputs, text, tree)
        results = loop.step(logits, int(rng.integers(2**31)))
        for i, text in enumerate(requests):
            tokens, kept, accepted, ending, error = results[i]
            assert error == 0 and (len(tokens) > 0) == running[i]
            if running[i]:
                rows = list(ancestors(trees[i][1], kept[-1]))[::-1]
                assert kept == rows and tokens[:-1] == path_tokens(*trees[i], kept[-1])
                assert accepted in (len(kept) - 1, len(kept))
            text.tokens += tokens
            assert ENDINGS[ending] == text.ending(text.tokens)
        assert results[-1][0] == [] and ENDINGS[results[-1][3]] == "empty"
        last = [text.tokens[-1] if runs else None for text, runs in zip(requests, running, strict=True)]
        assert all(token in (None, found) for token, found in zip(last, loop.draft_tokens, strict=False))
        starts = loop.gather(np.arange((len(requests) + 1) * WIDTH, dtype=np.float32).tolist())
        lasts = [result[1][-1] if result[1] else 0 for result in results]
        assert starts == [i * WIDTH + last for i, last in enumerate(lasts)]
    assert [text.tokens for text in requests] == expected


def test_a_broken_row_ends_its_own_sequence_alone() -> None:
    limits = {"max_tokens": 9, "min_tokens": 0, "stops": []}
    first, second = Text([1], {}, limits), Text([2], {}, limits)
    loop = native.DeviceLoop(2, 2, WIDTH, CONTEXT, VOCAB)
    loop.set_slots([0, 1])
    loop.admit(0, first.request, first.tokens)
    loop.admit(1, second.request, second.tokens)
    logits = np.zeros((2, WIDTH, VOCAB), np.float32)
    logits[0, 0, 3] = np.nan
    (tokens, kept, _, ending, error), (others, *_) = loop.step(logits)
    assert (tokens, kept, ENDINGS[ending], error) == ([], [], "error", -1)
    assert others == [0]
    assert ENDINGS[loop.step(logits)[0][3]] == "error"


@pytest.mark.parametrize("on_path", [False, True])
def test_a_broken_row_counts_only_on_the_accepted_path(on_path: bool) -> None:
    text = Text([1], {}, {"max_tokens": 9, "min_tokens": 0, "stops": []})
    loop = native.DeviceLoop(1, 1, WIDTH, CONTEXT, VOCAB)
    loop.set_slots([0])
    loop.admit(0, text.request, text.tokens)
    loop.set_drafts(0, [5], [0])
    logits = np.zeros((1, WIDTH, VOCAB), np.float32)
    logits[0, 0, 5 if on_path else 6] = 1.0
    logits[0, 1] = np.inf
    tokens, _, _, _, error = loop.step(logits)[0]
    assert (tokens, error) == (([], -1) if on_path else ([6], 0))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0]))
def test_drafts_are_what_the_heads_scores_would_pick(seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.choice(VOCAB, size=20, replace=False)).astype(np.int32).tolist()
    params = {"temperature": temperature, "seed": seed, "presence_penalty": 1.0}
    text = Text([1, 2, 3], params, {"max_tokens": 9, "min_tokens": 0, "stops": []})
    loop = native.DeviceLoop(2, 2, 4, CONTEXT, VOCAB)
    loop.set_slots([1, -1])
    loop.admit(1, text.request, text.tokens)
    expected = []
    for depth in range(3):
        scores = rng.standard_normal((2, 1, 20)).astype(np.float32)
        if depth == 2:
            scores[:] = np.nan  # nothing to choose by: any token will do
        drafts, none = loop.draft(scores, ids, depth)
        if depth == 2:
            expected.append(ids[0])
        elif temperature == 0:
            expected.append(ids[int(np.argmax(scores[0, 0]))])
        else:
            plain = _core.SamplingParams(temperature=temperature, seed=seed)
            expected += native.rank(scores[0, 0], ids, plain, 3 + depth, 1)[0]
        assert drafts == expected and none == []
        assert loop.draft_tokens == [expected[-1], -1]
    inputs = loop.lay_rows()[0]
    assert inputs[0] == [3, *expected] and inputs[1] == [2, 3, 4, 5]


@given(st.integers(0, 2**32 - 1))
def test_kept_rows_move_together_in_every_head_and_nowhere_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cache = rng.integers(256, size=(3, 2, 20, 12), dtype=np.uint8)
    slot, place = int(rng.integers(3)), int(rng.integers(10))
    kept = [0, *np.sort(rng.choice(np.arange(1, 10), size=rng.integers(5), replace=False)).tolist()]
    expected = cache.copy()
    expected[slot, :, place : place + len(kept)] = cache[slot, :, [place + row for row in kept]].swapaxes(
        0, 1
    )
    native.device_move(cache, slot, place, kept)
    assert np.array_equal(cache, expected)


def test_more_stop_tokens_than_the_state_holds() -> None:
    request = _core.Request([1], _core.SamplingParams(), stop_token_ids=list(range(33)))
    loop = native.DeviceLoop(1, 1, 1, CONTEXT, VOCAB)
    with pytest.raises(UnsupportedError, match="holds 32 stop tokens; the request has 33"):
        loop.admit(0, request, [1])


@pytest.mark.parametrize("tokens", [[], [1], [1] * CONTEXT, [1] * 7])
def test_a_sequence_that_nothing_can_follow_is_refused(tokens: list[int]) -> None:
    """It has no token, lacks a part of its prompt, fills the context, or has had all its tokens."""
    request = _core.Request([1, 1], _core.SamplingParams(), max_tokens=5)
    loop = native.DeviceLoop(1, 1, 1, CONTEXT, VOCAB)
    with pytest.raises(ArgumentError, match=rf"tokens: no room for one behind {len(tokens)}, 2 of them"):
        loop.admit(0, request, tokens)
    loop.admit(0, request, [1] * 6)
