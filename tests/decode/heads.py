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
        siblings: Sequence[float] = (),
        seed: int = 0,
        vocab: int = VOCAB,
    ) -> None:
        """`acceptance`: of a draft, or of (length of the text before it, depth); `sure`: what a head says.

        `siblings[r]`: how often candidate r + 1 is right where those before it are wrong; further ones never.
        """
        self._texts = [list(text) for text in texts]
        self._acceptance = acceptance if callable(acceptance) else lambda length, depth: acceptance
        self._sure = sure
        self._siblings = siblings
        self._draw = random.Random(seed)
        self._vocab = vocab

    def __call__(self, text: list[int], count: int, width: int) -> Drafts:
        known = next((whole for whole in self._texts if whole[: len(text)] == text), None)
        if known is None:
            raise ValueError(f"drafts are wanted behind a text that nobody wrote: {text}")
        drafts: Drafts = []
        for depth in range(count):
            acceptance = self._acceptance(len(text), depth)
            at = len(text) + depth
            right = known[at] if at < len(known) else 0
            rates = [acceptance, *self._siblings, *[0.0] * width][:width]
            hit = next((rank for rank, rate in enumerate(rates) if self._draw.random() < rate), -1)
            step = self._draw.randrange(self._vocab - width)
            said, left = [], 1.0
            for rate in rates:
                said.append(left * rate if self._sure is None else self._sure)
                left -= left * rate
            for rank in range(width):
                wrong = (right + 1 + step + rank) % self._vocab
                drafts.append((right if rank == hit else wrong, said[rank]))
        return drafts
