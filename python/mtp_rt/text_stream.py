"""From committed tokens to text that may be shown: whole characters, and never a part of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """What a commit adds to a text.

    Attributes:
        text: May be shown now; "" while everything is held back.
        tokens: How many of the commit's tokens belong to the text: up to the last one of a stop string.
        stop: The stop string that ended the text.
    """

    text: str
    tokens: int
    stop: str | None = None


class TextStream:
    """The text of one request, fed with the commits of a scheduler.

    Text is held back as long as it could be the beginning of a stop string. The stop string that is complete
    first ends the text, of several that end together the longest: a rule over characters, so neither the size
    of the commits nor the cut of the tokens can change the text.

    Args:
        decode: Maps the next token to the characters it completes; "" in the middle of a character.
        stop: Stop strings, none empty.
        min_tokens: No stop string completed by one of the first `min_tokens` tokens counts.
        include_stop: The stop string stays in the text.
    """

    def __init__(
        self,
        decode: Callable[[int], str],
        stop: Sequence[str] = (),
        *,
        min_tokens: int = 0,
        include_stop: bool = False,
    ) -> None:
        self._decode = decode
        self._stop = tuple(stop)
        self._min_tokens = min_tokens
        self._include_stop = include_stop
        self._tokens = 0
        self._held = ""

    def push(self, tokens: Sequence[int]) -> Shown:
        """Take one commit. After a result with `stop` the text has ended: push nothing more."""
        shown = ""
        for count, token in enumerate(tokens, start=1):
            known = len(self._held)
            self._held += self._decode(token)
            self._tokens += 1
            if self._tokens > self._min_tokens:
                match = self._first_match(known)
                if match is not None:
                    start, stop = match
                    end = start + len(stop) if self._include_stop else start
                    return Shown(shown + self._held[:end], count, stop)
            release = len(self._held) - self._open_prefix()
            shown += self._held[:release]
            self._held = self._held[release:]
        return Shown(shown, len(tokens))

    def finish(self, tail: str = "") -> str:
        """Return the text still held back, followed by `tail`; the text ends here for another reason."""
        rest, self._held = self._held + tail, ""
        return rest

    def _first_match(self, known: int) -> tuple[int, str] | None:
        """Return where the stop string that ends first begins; only ends beyond `known` characters count."""
        best: tuple[int, int, str] | None = None
        for stop in self._stop:
            start = self._held.find(stop, max(0, known - len(stop) + 1))
            if start >= 0:
                best = min(best or (start + len(stop), start, stop), (start + len(stop), start, stop))
        return None if best is None else best[1:]

    def _open_prefix(self) -> int:
        """Return the length of the longest end of the held text that begins some stop string."""
        longest = 0
        for stop in self._stop:
            for size in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:size]):
                    longest = size
                    break
        return longest
