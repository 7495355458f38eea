"""Varied lines of text, the same on every machine: words, code, numbers, scripts, emoji, spaces, noise."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence

WORDS = ["the", "of", "and", "which", "there", "would", "into", "Ask", "window", "running", "unbelievable"]
CODE = [
    "def f(x):\n    return x + 1",
    "for (int i = 0; i < n; ++i) {",
    '\tprintf("%d\\n", i);',
    "SELECT * FROM t WHERE a >= 10;",
    "x = {'k': [1, 2.5e-3]}",
    '<div class="a">',
    "/* c */ a[b]->c.d::e",
    "https://ex.org/a?b=c&d=1#f",
    "\\begin{align}",
]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "❤️", "🤷‍♀️", "☃", "🫠"]
SCRIPTS = [
    "你好世界",
    "これはテストです",
    "안녕하세요 세계",
    "Привет мир",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "Γειά σου Κόσμε",
    "naïve Größe élève",
    "Việt Nam",
    "İstanbul ılık",
    "ﬁ ligature",
]
SPACES = [
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\u200b",
    "        ",
    "\x85",
]
CONTRACTIONS = ["I'm", "don't", "WE'LL", "they've", "it's", "'tis", "y'all'd", "can’t", "'S"]
NUMERALS = ["١٢٣", "५६", "４２", "Ⅷ", "½", "³", "①②", "12/3/1999", "0x1F", "3.14159", "1,000,000"]
PUNCTUATION = "!?.,;:-_=+*/\\|()[]{}<>@#$%^&~`'\""


def has_numeral(text: str) -> bool:
    return any(unicodedata.category(character).startswith("N") for character in text)


def text_lines(count: int, specials: Sequence[str], seed: int = 0) -> list[str]:
    """Return `count` lines of one to eight fragments each."""
    rng = random.Random(seed)

    def noise() -> str:
        planes = [(0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]
        return "".join(chr(rng.randint(*rng.choice(planes))) for _ in range(rng.randint(1, 20)))

    makers: list[Callable[[], str]] = [
        lambda: " ".join(rng.choices(WORDS, k=rng.randint(1, 12))),
        lambda: rng.choice(WORDS).title(),
        lambda: rng.choice(CODE),
        lambda: rng.choice(EMOJI) * rng.randint(1, 3),
        lambda: rng.choice(SCRIPTS),
        lambda: rng.choice(SPACES) * rng.randint(1, 4),
        lambda: rng.choice(CONTRACTIONS),
        lambda: str(rng.randint(0, 10 ** rng.randint(1, 12))),
        lambda: rng.choice(NUMERALS),
        noise,
        lambda: rng.choice(specials),
        lambda: rng.choice(specials)[:-1],
        lambda: "".join(rng.choices(PUNCTUATION, k=rng.randint(1, 8))),
    ]

    def fragment() -> str:
        return rng.choice(makers)() + rng.choice(["", "", " "])

    return ["".join(fragment() for _ in range(rng.randint(1, 8))) for _ in range(count)]
