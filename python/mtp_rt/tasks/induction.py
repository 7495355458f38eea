"""Induction (Gloeckle et al., arXiv:2404.19737, section 4): complete a two-token name that was read before.

Stories are runs of filler words, drawn from a fixed chain, in which names of two tokens come up again and
again. While training, most names are from a fixed cast; first tokens are shared among its members, so looking
back helps a little. Tests have names that no training story has. The score is the accuracy on the second
token of a name that the story has used before: only looking back can give it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError
from mtp_rt.models.head_by_head import TokenBatch
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.tasks.experiment import Task, generator

_CAST, _TEST = 0, 1  # what a generator is for
_FOLLOWERS = 8  # words that may follow a word


@dataclass(frozen=True)
class InductionConfig:
    """The stories.

    Attributes:
        n: tokens predicted at once.
        words: filler words.
        firsts, seconds: tokens that names begin and end with.
        cast: names of the training stories.
        names: different names of a story; their first tokens differ.
        length: tokens of a story.
        density: chance that a name stands where a word could.
        test: stories that are scored.
    """

    n: int = 2
    words: int = 200
    firsts: int = 50
    seconds: int = 50
    cast: int = 200
    names: int = 3
    length: int = 128
    density: float = 0.1
    test: int = 500

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.n <= 32:
            raise ArgumentError(f"n: {self.n} is outside 1 to 32")
        if not 0 < self.density < 1:
            raise ArgumentError(f"density: {self.density} is not between 0 and 1")
        if not 1 <= self.names <= self.firsts:
            raise ArgumentError(
                f"names: {self.names} is outside 1 to the number of first tokens, {self.firsts}"
            )
        if not self.firsts <= self.cast < self.firsts * self.seconds:
            raise ArgumentError(f"cast: {self.cast} is outside {self.firsts} to all names less one")
        if self.words < _FOLLOWERS or self.length <= self.n or self.test < 1:
            raise ArgumentError(f"words, length, test: fewer than {_FOLLOWERS}, n + 1 and 1")


class Induction(Task):
    """The task of a config."""

    config: InductionConfig

    def __init__(self, config: InductionConfig) -> None:
        self.config, self.n, self.context = config, config.n, config.length
        self.vocab_size = config.words + config.firsts + config.seconds
        random = generator(_CAST)
        shape = (config.words, _FOLLOWERS)
        self._followers = random.integers(config.words, size=shape)
        pairs = random.permutation(config.firsts * config.seconds)
        self.cast, others = pairs[: config.cast], pairs[config.cast :]
        for names in (self.cast, others):
            if len(set(names // config.seconds)) < config.names:
                raise ArgumentError(
                    f"names: {config.names} do not have first tokens of their own in the cast"
                )
        self._test, self._asked = self.stories(config.test, generator(_TEST), others)

    def batch(self, seed: int, step: int, size: int) -> TokenBatch:
        """Return new stories with names of the cast."""
        stories, _ = self.stories(size, generator(seed, step, 0), self.cast)
        tokens = torch.from_numpy(stories)
        target = torch.arange(self.context)[:, None] + torch.arange(1, self.n + 1)
        ahead = tokens[:, target.clamp(max=self.context - 1)]
        return TokenBatch(tokens, ahead, (target < self.context).expand_as(ahead))

    @torch.no_grad()
    def score(self, model: MultiTokenModel) -> dict[str, float]:
        """Return the accuracy on second tokens of names seen before, and of names seen for the first time."""
        states, _ = model.begin(torch.from_numpy(self._test))
        picks = (states @ model.unembedding.T).argmax(dim=-1).numpy()
        right, asked = picks[:, :-1] == self._test[:, 1:], self._asked[:, 1:]
        shares = [float(right[asked == kind].sum() / max(1, (asked == kind).sum())) for kind in (1, 2)]
        return {"seen": shares[1], "new": shares[0]}

    def stories(
        self, count: int, random: np.random.Generator, names: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Return stories and what their tokens are.

        Args:
            count: of stories.
            random: draws them.
            names: to choose from, each as first token x seconds + second token.

        Returns:
            Tokens [count, length]: ids of words, then of first and of second tokens of names. And what each
            is: 1 the second token of a name that comes up for the first time, 2 of one seen before, 0 else.
        """
        config = self.config
        tokens = np.zeros((count, config.length), np.int64)
        kinds = np.zeros((count, config.length), np.int8)
        starts = random.random((count, config.length)) < config.density
        whose = random.integers(config.names, size=(count, config.length))
        follower = random.integers(_FOLLOWERS, size=(count, config.length))
        for story in range(count):
            chosen = self._chosen(random, names)
            word, at, used = int(random.integers(config.words)), 0, set[int]()
            while at < config.length:
                who = int(whose[story, at])
                if starts[story, at] and at + 1 < config.length:
                    first, second = divmod(int(chosen[who]), config.seconds)
                    tokens[story, at] = config.words + first
                    tokens[story, at + 1] = config.words + config.firsts + second
                    kinds[story, at + 1] = 2 if who in used else 1
                    used.add(who)
                    at += 2
                    continue
                word = int(self._followers[word, follower[story, at]])
                tokens[story, at] = word
                at += 1
        return tokens, kinds

    def _chosen(self, random: np.random.Generator, names: NDArray[np.int64]) -> list[int]:
        """Return the names of one story, whose first tokens differ."""
        chosen: dict[int, int] = {}
        while len(chosen) < self.config.names:
            name = int(names[random.integers(len(names))])
            chosen.setdefault(name // self.config.seconds, name)
        return list(chosen.values())
