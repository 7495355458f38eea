"""Random damage to JSON text, aware of its structure."""

from __future__ import annotations

import random
import re

_TOKEN = re.compile(
    rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|[{}\[\],:]|true|false|null|\s+|.', re.S
)
_PIECES = (
    *(
        b"{}",
        b"[]",
        b"null",
        b"true",
        b'""',
        b'"x"',
        b"0",
        b"-1",
        b"1",
        b"0.5",
        b"1e3",
        b"1e400",
        b"NaN",
        b"-0",
    ),
    *(
        b"9" * 20,
        b"9" * 400,
        b"18446744073709551616",
        b"9223372036854775807",
        b"4294967296",
        b"\x00",
        b"\xff",
    ),
    *(b'"\\u0000"', b'"\\ud800"', "ü".encode(), b"/**/", b"\xef\xbb\xbf", b"[" * 70, b",", b"}", b"]", b"\t"),
)


class MutableText:
    """Endless variants of one JSON text, the same for the same seed."""

    def __init__(self, text: str, seed: int) -> None:
        self._tokens = _TOKEN.findall(text.encode())
        self._random = random.Random(seed)

    def next(self) -> bytes:
        """Return the text after one to three changes."""
        tokens = list(self._tokens)
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            self._random.choice(
                (self._swap, self._drop, self._repeat, self._insert, self._number, self._byte)
            )(tokens)
        return b"".join(tokens)

    def _at(self, tokens: list[bytes]) -> int:
        return self._random.randrange(len(tokens))

    def _swap(self, tokens: list[bytes]) -> None:
        a, b = self._at(tokens), self._at(tokens)
        tokens[a], tokens[b] = tokens[b], tokens[a]

    def _drop(self, tokens: list[bytes]) -> None:
        at = self._at(tokens)
        del tokens[at : at + self._random.choice((1, 1, 2, 5))]
        tokens.append(b"")

    def _repeat(self, tokens: list[bytes]) -> None:
        at, count = self._at(tokens), self._random.choice((1, 3, 8, 20))
        tokens[at:at] = tokens[at : at + count]

    def _insert(self, tokens: list[bytes]) -> None:
        at = self._at(tokens)
        tokens[at : at + self._random.randrange(2)] = [self._random.choice(_PIECES)]

    def _number(self, tokens: list[bytes]) -> None:
        numbers = [at for at, token in enumerate(tokens) if token.isdigit()]
        if numbers:
            at = self._random.choice(numbers)
            change = self._random.choice((-64, -1, 1, 2, 32, 64, 2**31, 2**32, 2**63, 2**64))
            tokens[at] = b"%d" % (int(tokens[at]) + change)

    def _byte(self, tokens: list[bytes]) -> None:
        at = self._at(tokens)
        if tokens[at]:
            damaged = bytearray(tokens[at])
            damaged[self._random.randrange(len(damaged))] ^= 1 << self._random.randrange(8)
            tokens[at] = bytes(damaged)
