"""accept() against exhaustive enumeration of root paths."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mtp_rt._core_testing import accept

from mtp_rt.errors import ArgumentError

Case = tuple[list[int], list[int], list[int]]


@st.composite
def trees(draw: st.DrawFn) -> Case:
    """Tokens, parents and picks from a vocabulary of 3, so that agreement is common; siblings differ."""
    tokens: list[int] = []
    parents: list[int] = []
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.integers(0, len(tokens)))
        free = {0, 1, 2} - {t for t, p in zip(tokens, parents, strict=True) if p == parent}
        if free:
            tokens.append(draw(st.sampled_from(sorted(free))))
            parents.append(parent)
    picks = draw(st.lists(st.integers(0, 2), min_size=len(tokens) + 1, max_size=len(tokens) + 1))
    return tokens, parents, picks


def longest_agreeing_path(tokens: list[int], parents: list[int], picks: list[int]) -> list[int]:
    """Oracle: of all paths from the root, the longest on which every node equals its parent's pick."""
    best = [0]
    for leaf in range(1, len(tokens) + 1):
        path = [leaf]
        while path[0] != 0:
            path.insert(0, parents[path[0] - 1])
        agrees = all(tokens[node - 1] == picks[parents[node - 1]] for node in path[1:])
        if agrees and len(path) > len(best):
            best = path
    return best


@settings(max_examples=400)
@given(trees())
def test_keeps_the_longest_agreeing_path(case: Case) -> None:
    tokens, parents, picks = case
    rows, next_token = accept(tokens, parents, picks)
    assert rows == longest_agreeing_path(tokens, parents, picks)
    assert next_token == picks[rows[-1]]


@given(st.lists(st.integers(0, 1), max_size=15), st.data())
def test_a_chain_is_cut_at_its_first_disagreement(tokens: list[int], data: st.DataObject) -> None:
    picks = data.draw(st.lists(st.integers(0, 1), min_size=len(tokens) + 1, max_size=len(tokens) + 1))
    agreed = next((i for i, token in enumerate(tokens) if token != picks[i]), len(tokens))
    assert accept(tokens, list(range(len(tokens))), picks) == (list(range(agreed + 1)), picks[agreed])


@pytest.mark.parametrize(
    ("tokens", "parents", "picks"),
    [
        ([1], [0], [1]),
        ([1], [0, 0], [1, 1]),
        ([1], [1], [1, 1]),
        ([1], [-1], [1, 1]),
        ([1, 2], [0, 2], [1, 2, 3]),
    ],
)
def test_malformed_trees_are_refused(tokens: list[int], parents: list[int], picks: list[int]) -> None:
    with pytest.raises(ArgumentError):
        accept(tokens, parents, picks)
