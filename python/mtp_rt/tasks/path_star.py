"""Path-star graphs (Bachmann and Nagarajan, arXiv:2403.06963): find the arm of a star that ends at the goal.

The text of G(d, l), a source with d arms of l nodes each, the source counted:

    a,b|b,c|...|x,y/start,goal=start,..,goal

Edges come in random order, each from the inner node to the outer one. A token is a node's label, or one of
| = / $; the commas are no tokens. Reading on from the source, every node of the path but the second follows
from the edges by a local rule, so teacher forcing leaves one token that must be planned: which arm to take.

    ntp         the next token, from the true ones before it
    reverse     likewise, the path written from goal to start: each step is then a local rule
    teacherless the whole path at once: all tokens behind `=` are $
    mtp         n tokens at once, from the true ones before them
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtp_rt.errors import ArgumentError
from mtp_rt.models.head_by_head import TokenBatch
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.tasks.experiment import Task, generator

Objective = Literal["ntp", "reverse", "teacherless", "mtp"]
_TRAIN, _TEST = 0, 1  # which examples


@dataclass(frozen=True)
class PathStarConfig:
    """The graphs and the objective.

    Attributes:
        arms, length: d and l.
        labels: N, from which a graph's nodes are drawn without repetition.
        n: tokens predicted at once, with objective "mtp".
        train, test: graphs, fixed before training.
    """

    arms: int = 2
    length: int = 5
    labels: int = 50
    objective: Objective = "ntp"
    n: int = 4
    train: int = 200_000
    test: int = 1000

    def __post_init__(self) -> None:
        """Check the numbers."""
        nodes = self.arms * (self.length - 1) + 1
        if self.arms < 1 or self.length < 2 or self.labels < nodes:
            raise ArgumentError(f"labels: {self.labels} are not enough for the graph's {nodes} nodes")
        if not 2 <= self.n <= self.length:
            raise ArgumentError(f"n: {self.n} is outside 2 to the path's length, {self.length}")
        if self.train < 1 or self.test < 1:
            raise ArgumentError("train, test: at least one graph each is needed")


class PathStar(Task):
    """The task of a config."""

    config: PathStarConfig

    def __init__(self, config: PathStarConfig) -> None:
        self.config = config
        self.vocab_size = config.labels + 4
        self.n = config.n if config.objective == "mtp" else 1
        self._prefix = 3 * config.arms * (config.length - 1) + 3
        self.context = self._prefix + config.length
        self._train = self._texts(graphs(config, config.train, generator(_TRAIN)))
        self._test = self._texts(graphs(config, config.test, generator(_TEST)))

    def batch(self, seed: int, step: int, size: int) -> TokenBatch:
        """Return random training graphs; tokens of the path are the only labels."""
        return self._batch(self._train[generator(seed, step).integers(len(self._train), size=size)])

    @torch.no_grad()
    def score(self, model: MultiTokenModel) -> dict[str, float]:
        """Return how often the whole path is right when written freely, and token by token if forced.

        `path`: the exact path, each token from the model's own; `arm`: the choice of the arm alone; `forced`:
        of all tokens, each from the true ones (of a teacherless model both are read off in one pass).
        """
        texts = torch.from_numpy(self._test)
        path = texts[:, self._prefix :]
        forced = self._picks(model, self._inputs(texts))[:, self._prefix - 1 :]
        free = forced if self.config.objective == "teacherless" else self._written(model, texts)
        right = free == path
        choice = -2 if self.config.objective == "reverse" else 1
        return {
            "path": right.all(dim=1).float().mean().item(),
            "arm": right[:, choice].float().mean().item(),
            "forced": (forced == path).float().mean().item(),
        }

    def _written(self, model: MultiTokenModel, texts: Tensor) -> Tensor:
        """Return the path that the model writes, [graphs, length]."""
        written = texts[:, : self._prefix]
        for _ in range(self.config.length):
            written = torch.cat((written, self._picks(model, written)[:, -1:]), dim=1)
        return written[:, self._prefix :]

    @staticmethod
    def _picks(model: MultiTokenModel, tokens: Tensor) -> Tensor:
        """Return the likeliest next token of every position."""
        states, _ = model.begin(tokens)
        return (states @ model.unembedding.T).argmax(dim=-1)

    def _batch(self, texts: NDArray[np.int64]) -> TokenBatch:
        tokens = torch.from_numpy(texts)
        places = torch.arange(self.context - 1)
        target = places[:, None] + torch.arange(1, self.n + 1)
        ahead = tokens[:, target.clamp(max=self.context - 1)]
        valid = (places[:, None] >= self._prefix - 1) & (target < self.context)
        return TokenBatch(self._inputs(tokens), ahead, valid.expand_as(ahead))

    def _inputs(self, texts: Tensor) -> Tensor:
        """Return what the model reads: all but the last token, behind `=` dummies if it is teacherless."""
        inputs = texts[:, :-1]
        if self.config.objective == "teacherless":
            inputs = inputs.clone()
            inputs[:, self._prefix :] = self.config.labels + 3
        return inputs

    def _texts(self, made: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.int64]:
        prefix, path = made
        return np.concatenate((prefix, path[:, ::-1] if self.config.objective == "reverse" else path), axis=1)


def graphs(
    config: PathStarConfig, count: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return random graphs as tokens: the prefix up to `=` [count, 3E + 3], and the path [count, length].

    E is the number of edges, arms x (length - 1). Ids below `labels` are nodes; |, =, / and $ follow.
    """
    arms, steps, labels = config.arms, config.length - 1, config.labels
    bar, equals, slash = labels, labels + 1, labels + 2
    nodes = np.argsort(random.random((count, labels)), axis=1)[:, : arms * steps + 1]
    source, outer = nodes[:, :1], nodes[:, 1:].reshape(count, arms, steps)
    along = np.concatenate((np.repeat(source[:, None], arms, axis=1), outer), axis=2)
    edges = np.stack((along[:, :, :-1], along[:, :, 1:]), axis=3).reshape(count, arms * steps, 2)
    order = np.argsort(random.random((count, arms * steps)), axis=1)
    edges = np.take_along_axis(edges, order[:, :, None], axis=1)
    bars = np.full((count, arms * steps, 1), bar)
    written = np.concatenate((edges, bars), axis=2).reshape(count, -1)[:, :-1]
    path = along[:, 0]  # labels are random, so any arm may be the one
    marks = np.broadcast_to([[slash, equals]], (count, 2))
    ends = np.concatenate((marks[:, :1], path[:, :1], path[:, -1:], marks[:, 1:]), axis=1)
    return np.concatenate((written, ends), axis=1), path


def text_of(config: PathStarConfig, prefix: NDArray[np.int64], path: NDArray[np.int64]) -> str:
    """Return one graph in the paper's words: commas between nodes that stand side by side."""
    signs = "|=/$"
    text, before = "", False
    for token in [*prefix.tolist(), *path.tolist()]:
        node = token < config.labels
        text += ("," if node and before else "") + (str(token) if node else signs[token - config.labels])
        before = node
    return text
