"""Requests to a model that is a function of the text, their plain decoding, and drafts for them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from pick_cases import mask_words

from mtp_rt import _core

VOCAB = 40
CONTEXT = 48
WIDTH = 6


def logits_after(text: list[int]) -> NDArray[np.float32]:
    """A model: scores that depend on the last three tokens."""
    rng = np.random.default_rng(zlib.crc32(np.array(text[-3:], np.int32).tobytes()))
    return (rng.standard_normal(VOCAB) * 2).astype(np.float32)


class Text:
    """One request and its plain decoding."""

    def __init__(self, prompt: list[int], params: dict[str, object], limits: dict[str, object]) -> None:
        self.prompt, self.tokens = prompt, list(prompt)
        self.params = _core.SamplingParams(**params)  # type: ignore[arg-type]
        self.max_tokens = int(limits["max_tokens"])  # type: ignore[call-overload]
        self.min_tokens = int(limits["min_tokens"])  # type: ignore[call-overload]
        self.stops = list(limits["stops"])  # type: ignore[call-overload]
        self.request = _core.Request(
            prompt,
            self.params,
            max_tokens=self.max_tokens,
            min_tokens=self.min_tokens,
            stop_token_ids=self.stops,
        )

    def next(self, text: list[int]) -> int:
        """The token that plain decoding chooses behind `text`."""
        generated = Counter(text[len(self.prompt) :])
        prompt = Counter(self.prompt)
        counts = [(t, prompt[t], generated[t]) for t in prompt | generated]
        allowed = np.ones(64, np.bool_)
        if len(text) - len(self.prompt) < self.min_tokens:
            allowed[self.stops] = False
        return _core.pick(logits_after(text), self.params, len(text), counts, mask_words(allowed))

    def ending(self, text: list[int]) -> str | None:
        if len(text) > len(self.prompt) and text[-1] in self.stops:
            return "stop"
        full = len(text) - len(self.prompt) == self.max_tokens or len(text) == CONTEXT
        return "length" if full else None

    def plain(self) -> list[int]:
        text = list(self.prompt)
        while not self.ending(text):
            text.append(self.next(text))
        return text


@st.composite
def texts(draw: st.DrawFn) -> Text:
    tokens = st.integers(0, VOCAB - 1)
    penalties = {
        "presence_penalty": draw(st.sampled_from([0.0, 0.7])),
        "frequency_penalty": draw(st.sampled_from([0.0, 0.4])),
        "repetition_penalty": draw(st.sampled_from([1.0, 1.2])),
    }
    params = {
        "temperature": draw(st.sampled_from([0.0, 0.8, 1.5])),
        "top_k": draw(st.sampled_from([0, 5])),
        "top_p": draw(st.sampled_from([1.0, 0.9])),
        "seed": draw(st.integers(0, 2**64 - 1)),
        "logit_bias": draw(
            st.dictionaries(st.integers(0, VOCAB - 1), st.floats(-2, 2, width=32), max_size=2)
        ),
    }
    limits = {
        "max_tokens": draw(st.integers(1, 30)),
        "min_tokens": draw(st.sampled_from([0, 4])),
        "stops": draw(st.lists(tokens, max_size=2, unique=True)),
    }
    prompt = draw(st.lists(tokens, min_size=1, max_size=5))
    return Text(prompt, params | (penalties if draw(st.booleans()) else {}), limits)


def grow_tree(rng: np.random.Generator, text: Text) -> tuple[list[int], list[int]]:
    """Drafts of which about half follow what plain decoding chooses; siblings differ."""
    tokens: list[int] = []
    parents: list[int] = []
    for _ in range(rng.integers(WIDTH)):
        parent = int(rng.integers(len(tokens) + 1))
        behind = text.tokens + path_tokens(tokens, parents, parent)
        token = text.next(behind) if rng.random() < 0.7 else int(rng.integers(VOCAB))
        siblings = [t for t, p in zip(tokens, parents, strict=True) if p == parent]
        if token not in siblings:
            tokens.append(token)
            parents.append(parent)
    return tokens, parents


def path_tokens(tokens: list[int], parents: list[int], row: int) -> list[int]:
    path: list[int] = []
    while row > 0:
        path.insert(0, tokens[row - 1])
        row = parents[row - 1]
    return path


def ancestors(parents: list[int], row: int) -> Iterator[int]:
    while row > 0:
        yield row
        row = parents[row - 1]
    yield 0
