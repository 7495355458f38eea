"""Path-star: the text by parsing it and walking the graph; scores by solvers whose skill is known."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from mtp_rt.errors import ArgumentError
from mtp_rt.tasks.experiment import ExperimentConfig, make_model
from mtp_rt.tasks.path_star import PathStar, PathStarConfig, graphs, text_of

SHAPES = [(2, 5), (5, 5), (3, 2), (1, 4)]


@pytest.mark.parametrize(("arms", "length"), SHAPES)
def test_the_text_is_a_star_and_its_path(arms: int, length: int) -> None:
    """Oracle: the paper's format as a regular expression, and a walk from source to goal."""
    config = PathStarConfig(arms, length, n=2)
    prefixes, paths = graphs(config, 20, np.random.default_rng(0))
    edges_written = arms * (length - 1)
    assert prefixes.shape[1] == 2 * edges_written + (edges_written - 1) + 4
    for prefix, path in zip(prefixes, paths, strict=True):
        text = text_of(config, prefix, path)
        found = re.fullmatch(r"((?:\d+,\d+\|)*\d+,\d+)/(\d+),(\d+)=((?:\d+,)*\d+)", text)
        assert found, text
        edges = [tuple(map(int, edge.split(","))) for edge in found[1].split("|")]
        start, goal = int(found[2]), int(found[3])
        walked = list(map(int, found[4].split(",")))
        assert len(set(edges)) == edges_written
        assert sum(inner == start for inner, _ in edges) == arms
        inner_of = {outer: inner for inner, outer in edges}
        assert len(inner_of) == edges_written  # every node but the source is entered once
        back = [goal]
        while back[-1] != start:
            back.append(inner_of[back[-1]])
        assert walked == back[::-1]
        assert len(walked) == length


def test_the_goals_arm_may_be_listed_anywhere() -> None:
    config = PathStarConfig(2, 3, labels=10, n=2)
    prefixes, paths = graphs(config, 400, np.random.default_rng(1))
    first = [next(e for e in range(4) if prefix[3 * e] == prefix[-3]) for prefix in prefixes]
    chosen = [prefix[3 * e + 1] == path[1] for e, prefix, path in zip(first, prefixes, paths, strict=True)]
    assert 0.42 < np.mean(chosen) < 0.58


class Solver:
    """Stands for a model: reads the next token from the edges, and the arm by luck or by foresight."""

    def __init__(self, task: PathStar, *, plans: bool) -> None:
        self.task, self.plans = task, plans
        self.unembedding = torch.eye(task.vocab_size)

    def begin(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        picks = [[self.pick(text[: at + 1]) for at in range(len(text))] for text in tokens.tolist()]
        states = self.unembedding[torch.tensor(picks)]
        return states, states

    def pick(self, text: list[int]) -> int:
        prefix = 3 * self.task.config.arms * (self.task.config.length - 1) + 3
        if len(text) < prefix:
            return 0
        if len(text) == prefix:
            return text[prefix - 3]
        following = [text[e + 1] for e in range(0, prefix - 4, 3) if text[e] == text[-1]]
        if self.plans:
            following = [node for node in following if self.reaches(text, node)]
        return following[0] if following else 0

    def reaches(self, text: list[int], node: int | None) -> bool:
        prefix = 3 * self.task.config.arms * (self.task.config.length - 1) + 3
        after = {text[e]: text[e + 1] for e in range(0, prefix - 4, 3)}
        while node is not None and node != text[prefix - 2]:
            node = after.get(node)
        return node is not None


def test_a_planner_is_right_and_clever_hans_is_right_by_chance() -> None:
    """Oracle: 1/d of the paths; forced, all tokens but the arm: (l - 1 + 1/d) / l."""
    task = PathStar(PathStarConfig(2, 5, train=1, test=300))
    planned = task.score(Solver(task, plans=True))  # type: ignore[arg-type]
    assert planned == {"path": 1.0, "arm": 1.0, "forced": 1.0}
    by_chance = task.score(Solver(task, plans=False))  # type: ignore[arg-type]
    assert by_chance["path"] == by_chance["arm"] == pytest.approx(0.5, abs=0.1)
    assert by_chance["forced"] == pytest.approx((4 + by_chance["arm"]) / 5)


@pytest.mark.parametrize(("objective", "n"), [("ntp", 1), ("reverse", 1), ("teacherless", 1), ("mtp", 3)])
def test_labels_are_the_path_and_nothing_else(objective, n: int) -> None:
    task = PathStar(PathStarConfig(2, 4, objective=objective, n=3, train=5, test=5))
    batch = task.batch(seed=0, step=0, size=6)
    prefix, length = 3 * 6 + 3, 4
    assert task.n == n == batch.valid_BTN.shape[2]
    for row in range(6):
        assert batch.counts().tolist() == [6 * (length - i) for i in range(n)]
        path = batch.ahead_BTN[row, prefix - 1 :, 0].tolist()
        assert len(path) == length
        source, goal = batch.tokens_BT[row, prefix - 3], batch.tokens_BT[row, prefix - 2]
        ends = [goal, source] if objective == "reverse" else [source, goal]
        assert [path[0], path[-1]] == ends
        fed = batch.tokens_BT[row, prefix:].tolist()
        assert fed == ([task.vocab_size - 1] * (length - 1) if objective == "teacherless" else path[:-1])
        for i in range(n):
            for t in range(length - i):
                assert batch.valid_BTN[row, prefix - 1 + t, i]
                assert batch.ahead_BTN[row, prefix - 1 + t, i] == path[t + i]


def test_a_model_can_be_scored() -> None:
    task = PathStar(PathStarConfig(2, 3, objective="mtp", n=2, train=2, test=4))
    model = make_model(task, ExperimentConfig(hidden_size=32, layers=2, heads=1), seed=0)
    assert model.n == 2 and model.config.layers == 1
    assert all(0 <= share <= 1 for share in task.score(model).values())


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"labels": 8}, "8 are not enough for the graph's 9 nodes"), ({"n": 6}, "n: 6 is outside 2 to"),
     ({"train": 0}, "at least one graph")],
)  # fmt: skip
def test_bad_numbers_are_named(changes: dict[str, int], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        PathStarConfig(**changes)
