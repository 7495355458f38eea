"""Lookup drafts against a search of the whole text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from mtp_rt._core_testing import lookup

LONGEST = 32


def proposal(tokens: list[int], max_drafts: int) -> list[int]:
    """Oracle: the longest earlier ending (at most 32, the most recent of equals), continued as in a loop."""
    best_end, best_length = -1, 0
    for end in range(len(tokens) - 2, -1, -1):
        length = 0
        while length < LONGEST and length <= end and tokens[end - length] == tokens[-1 - length]:
            length += 1
        if length > best_length:
            best_end, best_length = end, length
    text = list(tokens)
    if best_length:
        for at in range(best_end + 1, best_end + 1 + max_drafts):
            text.append(text[at])
    return text[len(tokens) :]


@settings(max_examples=500)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 15), st.data())
def test_proposes_what_followed_the_longest_ending(
    tokens: list[int], max_drafts: int, data: st.DataObject
) -> None:
    lengths = sorted(data.draw(st.sets(st.integers(1, len(tokens)), min_size=1)))
    for length, (drafts, chances) in zip(lengths, lookup(tokens, lengths, max_drafts), strict=True):
        assert drafts == proposal(tokens[:length], max_drafts)
        assert len(chances) == len(drafts)
        assert all(0 < b <= a <= 1 for a, b in zip([1.0, *chances], chances, strict=False))


def test_a_step_looks_at_a_bounded_number_of_places() -> None:
    """Sixty-five endings of two tokens: the oldest, and only it, would match three."""
    tokens = [9, 1, 2, 5] + [8, 1, 2, 6] * 64 + [9, 1, 2]
    assert lookup(tokens, [len(tokens)], 1)[0][0] == [6]
    assert lookup(tokens[:4] + tokens[8:], [len(tokens) - 4], 1)[0][0] == [5]


def test_chances_learn_from_text_that_nobody_drafted() -> None:
    """The same ending, always followed by the same token, then by another each time."""
    steady = [1, 2, 3] * 40
    fickle = [token for i in range(40) for token in (1, 2, 100 + i)]
    lengths = list(range(2, 120))
    sure = lookup(steady, lengths, 1)[-1][1][0]
    unsure = [chances[0] for drafts, chances in lookup(fickle, lengths, 1) if drafts and drafts[0] >= 100][-1]
    assert sure > 0.9
    assert unsure < 0.1
