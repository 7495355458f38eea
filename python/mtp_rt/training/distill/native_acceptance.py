"""Acceptance of heads as they are shipped: quantised, in the native engine.

The development split's greedy texts are fed to the engine token by token; behind each, the engine drafts from
its own state. Texts run side by side in the engine's slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mtp_rt import _core
from mtp_rt.training.distill.acceptance import Acceptance, walk
from mtp_rt.training.distill.shards import SPLITS, read_shard, shard_paths

_SLOTS, _ROWS = 8, 64


@dataclass
class _Text:
    """A text on its way through a slot.

    Attributes:
        tokens: prompt and answer.
        first: where the answer begins.
        source: what kind of text it is.
        at: tokens that are committed.
        right: for every position asked, which drafts were right, as far as the text goes.
    """

    tokens: list[int]
    first: int
    source: str = ""
    at: int = 0
    right: list[list[bool]] = field(default_factory=list)


def measure_native(
    model_dir: Path, states: Path, least: int, threads: int = 0, sources: Mapping[int, str] | None = None
) -> Acceptance:
    """Return the acceptance of a model directory's heads over greedy development text.

    Args:
        model_dir: trunk and heads.
        states: recorded shards; only their texts are read.
        least: positions to ask at; the text that reaches this number is the last. They are the first slots of
            `SlotSet(states, "dev", ..., greedy=True)`.
        threads: 0 takes one per available core.
        sources: what kind of text a dialogue is, by its number; None: all are of one kind.
    """
    return _measured(model_dir, list(_first(_texts(states, "dev", sources or {}), least)), threads)


def measure_native_texts(
    model_dir: Path, texts: Sequence[tuple[list[int], int]], threads: int = 0
) -> Acceptance:
    """Return the same over other texts.

    Args:
        model_dir: trunk and heads.
        texts: the tokens of each, and how many of them come before the first draft, from 1.
        threads: 0 takes one per available core.
    """
    return _measured(model_dir, [_Text(tokens, first) for tokens, first in texts], threads)


def _measured(model_dir: Path, texts: list[_Text], threads: int) -> Acceptance:
    engine = _core.Engine(str(model_dir), slots=_SLOTS, max_rows=_ROWS, threads=threads)
    waiting, running = iter(texts), {}
    while True:
        for slot in range(_SLOTS):
            if slot not in running and (text := next(waiting, None)) is not None:
                running[slot] = text
                _prefill(engine, slot, text)
        if not running:
            return _by_source(texts, engine.info.extra_heads)
        _draft(engine, running)
        _advance(engine, running)
        for slot in [slot for slot, text in running.items() if text.at + 1 >= len(text.tokens)]:
            del running[slot]
            engine.release(slot)


def _first(texts: Iterator[_Text], least: int) -> Iterator[_Text]:
    """Give texts until their positions are as many as asked for."""
    positions = 0
    while positions < least and (text := next(texts, None)) is not None:
        positions += len(text.tokens) - 1 - text.first
        yield text


def _texts(states: Path, split: str, sources: Mapping[int, str]) -> Iterator[_Text]:
    """Give the greedy texts of a split whose answers are long enough to be guessed."""
    for path in shard_paths(states):
        shard = read_shard(path)
        bounds = zip(shard["starts"][:-1], shard["starts"][1:], strict=True)
        for number, (begin, end) in enumerate(bounds):
            own = np.flatnonzero(shard["loss_mask"][begin:end])
            wanted = shard["splits"][number] == SPLITS[split] and shard["temperatures"][number] == 0
            if wanted and len(own) >= 2 and own[0] > 0:
                source = sources.get(int(shard["dialogues"][number]), "")
                yield _Text(shard["tokens"][begin:end].tolist(), int(own[0]), source)


def _prefill(engine: _core.Engine, slot: int, text: _Text) -> None:
    """Commit the prompt: all that stands before the answer's first token."""
    while text.at < text.first:
        count = min(_ROWS, text.first - text.at)
        rows = list(range(count))
        positions = [text.at + row for row in rows]
        tokens = text.tokens[text.at : text.at + count]
        engine.verify([slot] * count, tokens, positions, [row - 1 for row in rows], [False] * count)
        engine.commit([(slot, rows)])
        text.at += count


def _draft(engine: _core.Engine, running: dict[int, _Text]) -> None:
    count = engine.info.extra_heads
    params = [_core.SamplingParams()] * len(running)
    last = [text.tokens[text.at] for text in running.values()]
    drafted, _ = engine.draft(list(running), last, [count] * len(running), [1] * len(running), params)
    for row, text in enumerate(running.values()):
        labels = text.tokens[text.at + 1 : text.at + 1 + count]
        guesses = drafted[row * count : row * count + len(labels)]
        text.right.append([int(guess) == label for guess, label in zip(guesses, labels, strict=True)])


def _advance(engine: _core.Engine, running: dict[int, _Text]) -> None:
    texts, slots = list(running.values()), list(running)
    tokens = [text.tokens[text.at] for text in texts]
    none = [False] * len(slots)
    engine.verify(slots, tokens, [text.at for text in texts], [-1] * len(slots), none)
    engine.commit([(slot, [row]) for row, slot in enumerate(slots)])
    for text in texts:
        text.at += 1


def _by_source(texts: Sequence[_Text], drafts: int) -> Acceptance:
    kinds = sorted({text.source for text in texts} - {""})
    parts = {kind: _counted([text for text in texts if text.source == kind], drafts) for kind in kinds}
    return replace(_counted(texts, drafts), by_source=parts)


def _counted(texts: Sequence[_Text], drafts: int) -> Acceptance:
    """Return what the texts saw.

    Drafts of a slot are made from one another here, while training gave the text's own tokens: both are the
    same as long as the drafts before stood, and what comes after a wrong draft is not counted.
    """
    asked = [right for text in texts for right in text.right]
    valid = np.array([[k < len(right) for k in range(drafts)] for right in asked], bool).reshape(-1, drafts)
    right = np.zeros_like(valid)
    right[valid] = np.concatenate([np.zeros(0, bool), *map(np.array, asked)])
    stood = [[_leading(right) for right in text.right] for text in texts]
    return replace(Acceptance.of(right, valid), walked=walk(stood))


def _leading(right: list[bool]) -> int:
    return next((k for k, stands in enumerate(right) if not stands), len(right))
