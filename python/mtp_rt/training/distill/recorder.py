"""Runs dialogues through the engine and keeps what it makes of every token."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt import _core
from mtp_rt.training.distill.top_candidates import top_candidates

MAX_ROWS = 128
BATCH = 32  # dialogues that a recorder takes at a time
BATCHES_AHEAD = 2  # under way per recorder
SLOTS = 8  # sequences per call: enough to fill its rows with the end of one and short ones behind it


@dataclass
class Recording:
    """A dialogue on its way through the engine.

    Attributes:
        index: Its number in the run.
        split: Its split's number.
        temperature: Of the answer.
        tokens: Prompt and answer.
        prompt_length: Tokens of the prompt.
        done: Tokens computed.
        parts: Arrays of the tokens computed, in order: states [rows, hidden] and, where layers are tapped,
            taps [rows, taps, hidden] as float16; top_ids [rows, k] int32, top_logprobs [rows, k] float16.
    """

    index: int
    split: int
    temperature: float
    tokens: list[int]
    prompt_length: int
    done: int = 0
    parts: list[dict[str, NDArray[Any]]] = field(default_factory=list)

    @property
    def wanted(self) -> range:
        """Positions whose next token is the model's own: their logits are wanted."""
        return range(self.prompt_length - 1, len(self.tokens) - 1)


@dataclass(frozen=True)
class _Share:
    """Rows of one call that belong to one dialogue: positions begin .. end."""

    slot: int
    recording: Recording
    begin: int
    end: int


def record_side_by_side(
    recorders: Sequence[Recorder], recordings: Sequence[Recording], computed: Callable[[int], None]
) -> Iterator[Recording]:
    """Yield the recordings, complete and in order, computed by several recorders in a thread each.

    Args:
        recorders: Who works.
        recordings: What to compute.
        computed: Told how many rows each batch of dialogues had.
    """
    batches = deque(recordings[first : first + BATCH] for first in range(0, len(recordings), BATCH))
    free: queue.SimpleQueue[Recorder] = queue.SimpleQueue()
    for recorder in recorders:
        free.put(recorder)

    def work(batch: Sequence[Recording]) -> Sequence[Recording]:
        recorder = free.get()
        try:
            recorder.record(batch)
        finally:
            free.put(recorder)
        return batch

    with ThreadPoolExecutor(len(recorders)) as pool:
        under_way: deque[Future[Sequence[Recording]]] = deque()
        try:
            while batches or under_way:
                while batches and len(under_way) < BATCHES_AHEAD * len(recorders):
                    under_way.append(pool.submit(work, batches.popleft()))
                done = under_way.popleft().result()
                computed(sum(len(recording.tokens) for recording in done))
                yield from done
        finally:
            pool.shutdown(cancel_futures=True)


class Recorder:
    """Computes dialogues in order, every call of its engine filled with rows.

    Args:
        model_dir: The model.
        taps: Layers whose outputs are kept.
        top_k: Candidates of the main head that are kept.
        context: Tokens of the longest dialogue.
    """

    def __init__(self, model_dir: Path, taps: Sequence[int], top_k: int, *, context: int) -> None:
        self._taps = list(taps)
        self._top_k = top_k
        self._engine = _core.Engine(
            str(model_dir), threads=1, slots=SLOTS, context=context, max_rows=MAX_ROWS
        )

    def record(self, recordings: Sequence[Recording]) -> None:
        """Complete the recordings."""
        waiting = deque(recordings)
        running: dict[int, Recording] = {}
        while waiting or running:
            for slot in range(SLOTS):
                if slot not in running and waiting:
                    running[slot] = waiting.popleft()
            self._call(_shares(running))
            for slot in [slot for slot, item in running.items() if item.done == len(item.tokens)]:
                self._engine.release(slot)
                del running[slot]

    def _call(self, shares: list[_Share]) -> None:
        slots: list[int] = []
        tokens: list[int] = []
        positions: list[int] = []
        parents: list[int] = []
        wanted: list[bool] = []
        for share in shares:
            for position in range(share.begin, share.end):
                parents.append(-1 if position == share.begin else len(tokens) - 1)
                slots.append(share.slot)
                tokens.append(share.recording.tokens[position])
                positions.append(position)
                wanted.append(position in share.recording.wanted)
        logits, states, taps = self._engine.verify(
            slots, tokens, positions, parents, wanted, [True] * len(tokens), self._taps
        )
        arrays = self._arrays(np.asarray(wanted), logits, states, taps)
        kept, row = [], 0
        for share in shares:
            rows = range(row, row + share.end - share.begin)
            kept.append((share.slot, rows))
            share.recording.parts.append(
                {name: array[rows.start : rows.stop] for name, array in arrays.items()}
            )
            share.recording.done = share.end
            row = rows.stop
        self._engine.commit(kept)

    def _arrays(
        self,
        wanted: NDArray[np.bool_],
        logits: NDArray[np.float32],
        states: NDArray[np.float32],
        taps: NDArray[np.float32],
    ) -> dict[str, NDArray[Any]]:
        top_ids = np.zeros((len(wanted), self._top_k), np.int32)
        top_logprobs = np.zeros((len(wanted), self._top_k), np.float16)
        if wanted.any():
            top_ids[wanted], top_logprobs[wanted] = top_candidates(logits, self._top_k)
        arrays: dict[str, NDArray[Any]] = {
            "states": states.astype(np.float16),
            "top_ids": top_ids,
            "top_logprobs": top_logprobs,
        }
        if self._taps:
            arrays["taps"] = taps.astype(np.float16)
        return arrays


def _shares(running: dict[int, Recording]) -> list[_Share]:
    """Return which rows the next call computes: earlier dialogues first, as many as fit."""
    room = MAX_ROWS
    shares = []
    for slot, recording in sorted(running.items(), key=lambda entry: entry[1].index):
        end = min(recording.done + room, len(recording.tokens))
        if end > recording.done:
            shares.append(_Share(slot, recording, recording.done, end))
            room -= end - recording.done
    return shares
