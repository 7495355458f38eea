"""Induction: stories by reading them again, scores by a reader that looks back and one that does not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from mtp_rt.errors import ArgumentError
from mtp_rt.tasks.induction import Induction, InductionConfig

CONFIG = InductionConfig(test=40)


@pytest.fixture(scope="module")
def task() -> Induction:
    return Induction(CONFIG)


def test_kinds_say_whether_a_name_was_read_before(task: Induction) -> None:
    tokens, kinds = task.stories(20, np.random.default_rng(0), task.cast)
    words, seconds = CONFIG.words, CONFIG.words + CONFIG.firsts
    cast = set(task.cast.tolist())
    for story, kind in zip(tokens.tolist(), kinds.tolist(), strict=True):
        read: set[tuple[int, int]] = set()
        for before, token, said in zip(story, story[1:], kind[1:], strict=False):
            if token < seconds:
                assert said == 0
                continue
            name = (before - words, token - seconds)
            assert 0 <= name[0] < CONFIG.firsts
            assert name[0] * CONFIG.seconds + name[1] in cast
            assert said == (2 if name in read else 1)
            read.add(name)
        assert len({first for first, _ in read}) == len(read) <= CONFIG.names


def test_tests_have_names_of_their_own(task: Induction) -> None:
    seconds = CONFIG.words + CONFIG.firsts
    cast = set(task.cast.tolist())
    for story in task._test.tolist():
        pairs = [(a - CONFIG.words, b - seconds) for a, b in pairwise(story) if b >= seconds]
        assert not cast & {first * CONFIG.seconds + second for first, second in pairs}


class Reader:
    """Stands for a model: repeats what followed a token before, or never knows."""

    def __init__(self, task: Induction, *, looks_back: bool) -> None:
        self.looks_back, self.unembedding = looks_back, torch.eye(task.vocab_size)

    def begin(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        picks = []
        for story in tokens.tolist():
            after: dict[int, int] = {}
            row = []
            for at, token in enumerate(story):
                row.append(after.get(token, 0) if self.looks_back else 0)
                if at + 1 < len(story):
                    after[token] = story[at + 1]
            picks.append(row)
        states = self.unembedding[torch.tensor(picks)]
        return states, states


def test_only_looking_back_gives_names_seen_before(task: Induction) -> None:
    assert task.score(Reader(task, looks_back=True)) == {"seen": 1.0, "new": 0.0}  # type: ignore[arg-type]
    assert task.score(Reader(task, looks_back=False)) == {"seen": 0.0, "new": 0.0}  # type: ignore[arg-type]


def test_steps_have_stories_of_their_own(task: Induction) -> None:
    first, again, other = task.batch(0, 0, 4), task.batch(0, 0, 4), task.batch(0, 1, 4)
    assert torch.equal(first.tokens_BT, again.tokens_BT)
    assert not torch.equal(first.tokens_BT, other.tokens_BT)
    assert first.counts().tolist() == [4 * 127, 4 * 126]
    assert torch.equal(first.ahead_BTN[:, :-2, 1], first.tokens_BT[:, 2:])


@pytest.mark.parametrize(
    "changes", [{"n": 0}, {"density": 1.0}, {"names": 51}, {"cast": 10}, {"cast": 2500}, {"length": 2}]
)
def test_bad_numbers_are_named(changes: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(changes))):
        InductionConfig(**changes)  # type: ignore[arg-type]
