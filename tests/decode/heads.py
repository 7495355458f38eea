"""Extra heads that a test makes up, for the fake engine."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from loop import VOCAB

Drafts = list[tuple[int, float]]


class Heads:
    """Drafts around known texts: right as often as a test wants, and as sure as it says.

    Whatever is asked behind must be the start of one of the texts: a wrong slot, token or position is an
    error, not a bad draft.
    """

    def __init__(
        self,
        texts: Sequence[Sequence[int]],
        acceptance: float | Callable[[int, int], float],
        *,
        sure: float | None = None,
        seed: int = 0,
        vocab: int = VOCAB,
    ) -> None:
        """`acceptance`: of a draft, or of (length of the text before it, depth); `sure`: what a head says."""
        self._texts = [list(text) for text in texts]
        self._acceptance = acceptance if callable(acceptance) else lambda length, depth: acceptance
        self._sure = sure
        self._draw = random.Random(seed)
        self._vocab = vocab

    def __call__(self, text: list[int], count: int) -> Drafts:
        known = next((whole for whole in self._texts if whole[: len(text)] == text), None)
        if known is None:
            raise ValueError(f"drafts are wanted behind a text that nobody wrote: {text}")
        drafts = []
        for depth in range(count):
            acceptance = self._acceptance(len(text), depth)
            at = len(text) + depth
            right = known[at] if at < len(known) else 0
            wrong = (right + 1 + self._draw.randrange(self._vocab - 1)) % self._vocab
            token = right if self._draw.random() < acceptance else wrong
            drafts.append((token, acceptance if self._sure is None else self._sure))
        return drafts
