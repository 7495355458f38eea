"""Drafts of two sources as one tree, against the same opinions combined outcome by outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtp_rt import _core_testing as native

SAME_MISTAKE = 0.1
ALL = 64  # more nodes than there are

Path = tuple[int, ...]
Tree = tuple[list[int], list[int], list[float]]
Depth = list[tuple[int, float]]  # the heads' candidates and their chances given what is before them


def chain(tokens: list[int], chances: list[float]) -> Tree:
    """Return a chain; chances given what is before."""
    product, absolute = 1.0, []
    for chance in chances:
        product *= chance
        absolute.append(product)
    return tokens, list(range(len(tokens))), absolute


def heads_tree(depths: list[Depth]) -> Tree:
    """Return the heads' tree as they propose it: the first candidates a chain, the likeliest nodes first."""
    nodes, base, before = [], 1.0, ()
    for depth in depths:
        nodes += [(base * chance, (*before, token)) for token, chance in depth]
        base, before = base * depth[0][1], (*before, depth[0][0])
    nodes.sort(key=lambda node: -node[0])
    rows: dict[Path, int] = {(): 0} | {path: row for row, (_, path) in enumerate(nodes, start=1)}
    return (
        [path[-1] for _, path in nodes],
        [rows[path[:-1]] for _, path in nodes],
        [chance for chance, _ in nodes],
    )


def paths_of(tree: Tree) -> dict[Path, float]:
    paths: list[Path] = [()]
    for token, parent in zip(tree[0], tree[1], strict=True):
        paths.append((*paths[parent], token))
    return dict(zip(paths[1:], tree[2], strict=True))


def expected(depths: list[Depth], copied: list[tuple[int, float]]) -> dict[Path, float]:
    """Return the chance of each path, from what each opinion gives every outcome of a place."""
    found: dict[Path, float] = {}

    def place(path: Path, base: float, heads: list[Depth], copy: list[tuple[int, float]]) -> None:
        candidates = dict(heads[0]) if heads else {}
        token, chance = copy[0] if copy else (None, 0.0)
        worth = {}
        for named in candidates.keys() | ({token} if copy else set()):
            by_heads = candidates.get(named, SAME_MISTAKE * (1 - sum(candidates.values())))
            by_copy = chance if named == token else SAME_MISTAKE * (1 - chance)
            worth[named] = by_heads * by_copy
        neither = SAME_MISTAKE * (1 - sum(candidates.values())) * (1 - chance)
        for named, value in worth.items():
            here = base * value / (sum(worth.values()) + neither)
            found[(*path, named)] = here
            first = bool(heads) and named == heads[0][0][0]
            place((*path, named), here, heads[1:] if first else [], copy[1:] if named == token else [])

    def ended(heads: list[Depth], copy: list[tuple[int, float]]) -> bool:
        return not heads and not copy

    if not ended(depths, copied):
        place((), 1.0, depths, copied)
    return found


chance = st.floats(0.02, 0.9)
tokens = st.integers(0, 3)


@st.composite
def depth(draw: st.DrawFn) -> Depth:
    named = draw(st.lists(tokens, min_size=1, max_size=3, unique=True))
    left, candidates = 1.0, []
    for token in named:
        candidates.append((token, left * draw(chance)))
        left -= candidates[-1][1]
    return candidates


@given(st.lists(depth(), max_size=4), st.lists(st.tuples(tokens, chance), max_size=5), st.integers(1, 12))
def test_opinions_are_combined_as_independent_ones(
    depths: list[Depth], copied: list[tuple[int, float]], most: int
) -> None:
    copy = chain([token for token, _ in copied], [chance for _, chance in copied])
    whole = paths_of(native.join_drafts(heads_tree(depths), copy, ALL)[0])
    assert whole == pytest.approx(expected(depths, copied), rel=1e-4)

    tree, _ = native.join_drafts(heads_tree(depths), copy, most)
    assert len(tree[0]) == min(most, len(whole))
    assert sorted(tree[2], reverse=True) == tree[2]
    assert all(parent <= row for row, parent in enumerate(tree[1]))
    left_out = [value for path, value in whole.items() if path not in paths_of(tree)]
    assert not left_out or max(left_out) <= tree[2][-1] * (1 + 1e-5)


def test_an_engine_that_names_a_token_twice_gets_both_back() -> None:
    drafted = ([1, 1, 1], [0, 0, 0], [0.4, 0.3, 0.2])
    tree, _ = native.join_drafts(drafted, chain([1, 2], [0.5, 0.5]), ALL)
    assert sorted(zip(tree[0], tree[1], strict=True)) == [(1, 0), (1, 0), (1, 0), (2, 1)]


def test_heads_count_with_what_they_add_to_a_copy() -> None:
    text, acceptance = [1, 2, 3, 4, 5, 6, 1, 2, 3, 4], [0.6, 0.5, 0.9]
    [(_, copied)] = native.lookup(text, [len(text)], 5)
    alone, others = native.first_prospects("heads", text, acceptance, 5)
    assert alone == pytest.approx([0.6, 0.3, 0.27]) and others == []
    chances, others = native.first_prospects("auto", text, acceptance, 5)
    assert others == copied
    added = [chance * (1 - copy) for chance, copy in zip(alone, copied, strict=False)]
    assert chances == pytest.approx([min(added[: place + 1]) for place in range(3)])


def test_one_opinion_alone_stays_as_it_is() -> None:
    copy = chain([5, 6], [0.8, 0.5])
    tree, copied = native.join_drafts(([], [], []), copy, ALL)
    assert copied and tree[:2] == copy[:2] and tree[2] == pytest.approx(copy[2])
    drafted = heads_tree([[(1, 0.6), (2, 0.2)], [(3, 0.5), (4, 0.3)]])
    tree, copied = native.join_drafts(drafted, ([], [], []), ALL)
    assert not copied and tree[:2] == drafted[:2] and tree[2] == pytest.approx(drafted[2])


def test_agreement_makes_likelier_and_difference_less_likely() -> None:
    drafted = heads_tree([[(1, 0.6)]])
    agreed = native.join_drafts(drafted, chain([1], [0.6]), ALL)[0]
    assert agreed[0] == [1] and agreed[2][0] > 0.9
    differing = paths_of(native.join_drafts(drafted, chain([2], [0.6]), ALL)[0])
    assert differing.keys() == {(1,), (2,)} and all(0.3 < value < 0.6 for value in differing.values())
