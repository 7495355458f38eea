"""Trees of the heads' drafts: their shape, their chances against counting, and whether they are used."""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict

import pytest
from heads import Heads
from loop import Ask, run, solo
from machine import SLOW_MEMORY, Machine
from test_adaptive_heads import ADAPTIVE, decode

from mtp_rt import _core
from mtp_rt import _core_testing as native

CHAIN = _core.DraftOptions(source="heads", max_drafts=7, max_width=1)
SURE = (0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95)
HEADS, WIDTH = 4, 3

Path = tuple[int, ...]
Candidates = list[list[tuple[int, float]]]  # by depth and rank


@dataclasses.dataclass
class Counts:
    """Oracle: remembers all that was seen, and counts it anew for each chance."""

    seen: dict[tuple[int, int, int], list[bool]] = dataclasses.field(
        default_factory=lambda: defaultdict(list)
    )

    @staticmethod
    def own(depth: list[tuple[int, float]], rank: int) -> float:
        """What the head says of a candidate, of those behind the first where that is wrong."""
        return depth[rank][1] / (1.0 if rank == 0 else 1.0 - depth[0][1])

    def cell(self, depth: int, rank: int, own: float) -> list[bool]:
        return self.seen[rank, min(depth, 2), sum(own >= end for end in SURE)]

    def chance(self, drafts: Candidates, depth: int, rank: int) -> float:
        own = self.own(drafts[depth], rank)
        prior = (own + (0.5 if rank == 0 else 0.2 / rank)) / 2
        cell = self.cell(depth, rank, own)
        weights = [0.97**age for age in range(len(cell))]
        right = sum(weight for weight, hit in zip(weights, reversed(cell), strict=True) if hit)
        doubt = 3 * 0.97 ** len(cell)
        return (right + doubt * prior) / (sum(weights) + doubt)

    def learn(self, drafts: Candidates, text: list[int]) -> None:
        for depth, (candidates, token) in enumerate(zip(drafts, text, strict=True)):
            hits = [candidate == token for candidate, _ in candidates]
            for rank in range(1 if hits[0] else len(candidates)):
                self.cell(depth, rank, self.own(candidates, rank)).append(hits[rank])
            if not hits[0]:
                return

    def tree(self, drafts: Candidates) -> dict[Path, float]:
        """Chance of every path: first candidates, but for the last token."""
        paths: dict[Path, float] = {}
        stem: Path = ()
        before = 1.0
        for depth, candidates in enumerate(drafts):
            first = self.chance(drafts, depth, 0)
            for rank, (token, _) in enumerate(candidates):
                share = first if rank == 0 else (1 - first) * self.chance(drafts, depth, rank)
                paths[(*stem, token)] = before * share
            stem, before = (*stem, candidates[0][0]), before * first
        return paths


def paths_of(tokens: list[int], parents: list[int], chances: list[float]) -> dict[Path, float]:
    rows: list[Path] = [()]
    for token, parent in zip(tokens, parents, strict=True):
        rows.append((*rows[parent], token))
    return dict(zip(rows[1:], chances, strict=True))


def draw_drafts(draw: random.Random, text: list[int]) -> Candidates:
    """Candidates of `len(text)` depths, of which the second and third are right now and then."""
    drafts: Candidates = []
    width = draw.randint(1, WIDTH)
    for right in text:
        hit = draw.choices(range(WIDTH + 1), [0.6, 0.2, 0.1, 0.1])[0]
        others = draw.sample([token for token in range(64) if token != right], width)
        chances = sorted((draw.uniform(0.01, 0.3) for _ in range(width)), reverse=True)
        chances[0] = draw.uniform(chances[0], 0.4)
        drafts.append([(right if rank == hit else others[rank], chances[rank]) for rank in range(width)])
    return drafts


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("most", [15, 5, 1])
def test_chances_are_what_counting_gives(seed: int, most: int) -> None:
    draw = random.Random(seed)
    text = [draw.randrange(64) for _ in range(1200)]
    lengths = list(range(1, len(text) - HEADS, HEADS))
    depths = [draw.randint(1, min(HEADS, most)) for _ in lengths]
    all_drafts = [
        draw_drafts(draw, text[start : start + count]) for start, count in zip(lengths, depths, strict=True)
    ]
    fed = [
        (
            len(drafts[0]),
            [token for depth in drafts for token, _ in depth],
            [c for depth in drafts for _, c in depth],
        )
        for drafts in all_drafts
    ]
    proposals = native.head_trees(text, lengths, fed, HEADS, WIDTH, most)
    counts = Counts()
    for start, drafts, (tokens, parents, chances) in zip(lengths, all_drafts, proposals, strict=True):
        expected = counts.tree(drafts)
        found = paths_of(tokens, parents, chances)
        assert len(found) == len(tokens) == min(most, len(expected))
        assert found == pytest.approx({path: expected[path] for path in found}, rel=1e-5)
        assert sorted(chances, reverse=True) == chances
        left_out = [chance for path, chance in expected.items() if path not in found]
        assert not left_out or max(left_out) <= chances[-1] * (1 + 1e-5)
        counts.learn(drafts, text[start : start + len(drafts)])


@pytest.mark.parametrize(
    ("rates", "commit", "accepted"),
    [
        ((0.0, 0.0, 0.0), 2, [1, 0, 0]),  # all hang on the second candidate of the first depth
        ((1.0, 0.0, 0.0), 3, [1, 1, 0]),
        ((1.0, 1.0, 0.0), 4, [1, 1, 1]),
    ],
)
def test_a_right_second_candidate_saves_its_steps(
    rates: tuple[float, ...], commit: int, accepted: list[int]
) -> None:
    """Drafts count by their depth, whatever their rank."""
    ask = Ask((1, 2, 3), max_tokens=1 + 12 * 10)
    plain = solo(ask)
    fake = native.FakeEngine(extra_heads=3)
    heads = Heads([[*ask.prompt, *plain.tokens]], lambda length, depth: rates[depth], siblings=[1.0])
    fake.set_heads(heads)
    fixed = _core.DraftOptions(source="heads", max_drafts=15, adaptive=False, max_width=2)
    [outcome] = run(fake, [ask.request(fixed)])
    assert outcome.tokens == plain.tokens
    assert outcome.commits[1:-1] == [commit] * (len(outcome.commits) - 2)
    stats = outcome.counters
    steps = stats.steps - 1  # near the end there is less to draft
    assert all(
        abs(count - share * steps) <= 1
        for count, share in zip(stats.accepted_per_position, accepted, strict=True)
    )


@pytest.mark.parametrize("drafts", [1, 3, 7])
def test_a_fixed_number_of_drafts_is_a_chain(drafts: int) -> None:
    ask = Ask((1, 2, 3), max_tokens=100)
    fake = native.FakeEngine(extra_heads=7)
    fake.set_heads(Heads([[*ask.prompt, *solo(ask).tokens]], 0.5, siblings=[1.0]))
    fixed = _core.DraftOptions(source="heads", max_drafts=drafts, adaptive=False)
    [outcome] = run(fake, [ask.request(fixed)])
    assert fake.candidates == fake.drafted
    assert outcome.counters.drafted_per_position[drafts - 1] > 0.8 * outcome.counters.steps


@pytest.mark.parametrize("sure", [None, 0.3], ids=["honest", "says nothing"])
def test_trees_are_used_where_second_candidates_are_often_right(sure: float | None) -> None:
    """Rows up to four are nearly free: the second candidate is worth more than the third draft of a chain."""
    siblings = [0.5]
    chain, _ = decode(Machine([SLOW_MEMORY]), 0.4, siblings=siblings, sure=sure, options=CHAIN)
    tree, engine = decode(Machine([SLOW_MEMORY]), 0.4, siblings=siblings, sure=sure)
    assert tree.rate > 1.1 * chain.rate
    assert engine.candidates > 1.8 * engine.drafted
    [stats] = [outcome.counters for outcome in tree.outcomes]
    assert stats.accepted_per_position[0] > 0.65 * stats.steps


@pytest.mark.parametrize("sure", [None, 0.3], ids=["honest", "says nothing"])
@pytest.mark.parametrize("acceptance", [0.3, 0.6, 0.9])
def test_trees_cost_nothing_where_second_candidates_are_never_right(
    acceptance: float, sure: float | None
) -> None:
    chain, _ = decode(Machine([SLOW_MEMORY]), acceptance, sure=sure, options=CHAIN, length=3000)
    tree, _ = decode(Machine([SLOW_MEMORY]), acceptance, sure=sure, options=ADAPTIVE, length=3000)
    assert tree.rate > 0.98 * chain.rate


def test_candidates_that_cannot_pay_are_not_drafted() -> None:
    """Where nine of ten first candidates are right, a row for the second is worth less than it costs."""
    steep = tuple(1.0 + 0.3 * row for row in range(16))
    _, engine = decode(Machine([steep]), 0.9, siblings=[0.5], prior=[0.9] * 4, length=1000)
    assert engine.candidates < 1.1 * engine.drafted
