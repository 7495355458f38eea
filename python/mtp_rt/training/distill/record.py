"""Stage 2 of distillation: what trunk and main head make of the text, from the engine that serves it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.model_dir import parse_model_config
from mtp_rt.request import check_range
from mtp_rt.training.distill.line_file import read_lines
from mtp_rt.training.distill.prompts import evaluation_hashes
from mtp_rt.training.distill.recorder import Recorder, Recording, record_side_by_side
from mtp_rt.training.distill.run_folder import RunFolder
from mtp_rt.training.distill.shards import SPLITS, read_shard, shard_path, shard_paths, write_shard

Progress = Callable[[str, int, int], None]
STAGE = "record"
SHARD_BYTES = 64 * 2**20
MAX_CANDIDATES = 256
MAX_THREADS = 256


@dataclass(frozen=True)
class RecordSettings:
    """What is recorded.

    Attributes:
        taps: Layers whose outputs are kept, ascending; 0 is the first.
        top_k: Candidates of the main head that are kept.
    """

    taps: tuple[int, ...] = ()
    top_k: int = 16

    def __post_init__(self) -> None:
        """Check the ranges."""
        if list(self.taps) != sorted(set(self.taps)):
            raise ArgumentError(f"taps must ascend, got {self.taps!r}")
        if not 1 <= self.top_k <= MAX_CANDIDATES:
            raise ArgumentError(f"top_k must be an integer in [1, {MAX_CANDIDATES}], got {self.top_k!r}")

    def row_bytes(self, hidden_size: int) -> int:
        """Return what a token takes on disk."""
        states = 2 * hidden_size * (1 + len(self.taps))
        candidates = (4 + 2) * self.top_k
        token, mask = 4, 1
        return states + candidates + token + mask


@dataclass(frozen=True)
class RecordPlan:
    """What is left to record, for people to see before it begins.

    Attributes:
        dialogues: How many.
        rows: Their tokens, prompts and answers.
        bytes: What their shards take on disk.
        free_bytes: What the disk has.
    """

    dialogues: int
    rows: int
    bytes: int
    free_bytes: int


def plan_recording(run: RunFolder, model_dir: Path, settings: RecordSettings) -> RecordPlan:
    """Return what `record_states` would have to do now.

    Raises:
        ModelFormatError: a shard or the text is damaged.
    """
    return _plan(run, model_dir, settings, list(_unrecorded(run, settings)))


def record_states(
    run: RunFolder,
    model_dir: Path,
    settings: RecordSettings,
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> RecordPlan:
    """Record the dialogues of the run that no shard holds yet. Text that is written meanwhile waits.

    A run that was cut off goes on behind its last whole shard.

    Args:
        run: Whose text to record.
        model_dir: The model that wrote it.
        settings: What to keep.
        threads: Engines of one thread that work side by side; 0 takes one per available core.
        progress: Told ("record", tokens done, tokens in all) now and then.

    Returns:
        What was recorded.

    Raises:
        ArgumentError: another process records this run, it was begun with other settings, or a tapped layer
            does not exist.
        ModelFormatError: a shard is truncated, damaged or of another run; names the file.
        OSError: the disk has too little room, found before anything is computed, or is not writable.
        Error: the model cannot be loaded.
    """
    check_range("threads", threads, 0, MAX_THREADS)
    with run.working(STAGE):
        run.claim(STAGE, asdict(settings))
        recordings = list(_unrecorded(run, settings))
        plan = _plan(run, model_dir, settings, recordings)
        if plan.bytes > plan.free_bytes:
            problem = (
                f"recording needs {plan.bytes / 1e6:,.1f} MB and {plan.free_bytes / 1e6:,.1f} MB are free; "
                "free some space, or write fewer tokens"
            )
            raise OSError(errno.ENOSPC, problem, str(run.states_dir))
        if not recordings:
            return plan
        done = 0

        def computed(rows: int) -> None:
            nonlocal done
            done += rows
            if progress is not None:
                progress(STAGE, done, plan.rows)

        context = max(len(recording.tokens) for recording in recordings)
        recorders = [
            Recorder(model_dir, settings.taps, settings.top_k, context=context)
            for _ in range(threads or len(os.sched_getaffinity(0)))
        ]
        shard = _Shard(run, settings)
        for recording in record_side_by_side(recorders, recordings, computed):
            shard.add(recording)
        shard.write()
    return plan


def shard_metadata(run: RunFolder, settings: RecordSettings) -> dict[str, str]:
    """Return what a shard of this run says of itself."""
    taps = ",".join(map(str, settings.taps))
    return {"model_sha256": run.model.sha256, "taps": taps, "top_k": str(settings.top_k)}


def _plan(
    run: RunFolder, model_dir: Path, settings: RecordSettings, recordings: Sequence[Recording]
) -> RecordPlan:
    hidden_size = parse_model_config((model_dir / "config.json").read_bytes()).hidden_size
    rows = sum(len(recording.tokens) for recording in recordings)
    free = shutil.disk_usage(run.path).free
    return RecordPlan(len(recordings), rows, rows * settings.row_bytes(hidden_size), free)


def _unrecorded(run: RunFolder, settings: RecordSettings) -> Iterator[Recording]:
    last = _last_recorded(run, settings)
    for line in read_lines(run.text_file):
        # The list of evaluation prompts may have grown since the text was written.
        if line["index"] > last and line["prompt_hash"] not in evaluation_hashes():
            tokens = line["prompt_ids"] + line["answer_ids"]
            split = SPLITS[line["split"]]
            yield Recording(line["index"], split, line["temperature"], tokens, len(line["prompt_ids"]))


def _last_recorded(run: RunFolder, settings: RecordSettings) -> int:
    """Return the number of the last dialogue in a shard, -1 if there is none, checking every shard."""
    last = -1
    metadata = shard_metadata(run, settings)
    for path in shard_paths(run.states_dir):
        numbers = read_shard(path, metadata)["dialogues"]
        if numbers[0] <= last or np.any(np.diff(numbers) < 1):
            problem = "do not go on where the shard before ends; delete it and those after it, record again"
            raise ModelFormatError(str(path), "dialogues", problem)
        last = int(numbers[-1])
    return last


class _Shard:
    """Collects dialogues and writes a shard whenever one is full."""

    def __init__(self, run: RunFolder, settings: RecordSettings) -> None:
        self._folder = run.states_dir
        self._metadata = shard_metadata(run, settings)
        self._number = len(shard_paths(run.states_dir))
        self._recordings: list[Recording] = []
        self._bytes = 0

    def add(self, recording: Recording) -> None:
        self._recordings.append(recording)
        self._bytes += sum(array.nbytes for part in recording.parts for array in part.values())
        if self._bytes >= SHARD_BYTES:
            self.write()

    def write(self) -> None:
        """Write what is there, if anything."""
        if not self._recordings:
            return
        items = self._recordings
        arrays: dict[str, NDArray[Any]] = {
            "tokens": np.concatenate([np.asarray(item.tokens, np.int32) for item in items]),
            "starts": np.cumsum([0, *(len(item.tokens) for item in items)]).astype(np.int32),
            "dialogues": np.asarray([item.index for item in items], np.int32),
            "splits": np.asarray([item.split for item in items], np.uint8),
            "temperatures": np.asarray([item.temperature for item in items], np.float16),
            "loss_mask": np.concatenate(
                [np.arange(len(item.tokens)) >= item.prompt_length for item in items]
            ),
        }
        arrays["loss_mask"] = arrays["loss_mask"].astype(np.uint8)
        parts = [part for item in items for part in item.parts]
        arrays |= {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        write_shard(shard_path(self._folder, self._number), arrays, self._metadata)
        for item in items:
            item.parts.clear()  # whoever holds the recording needs no memory for what lies in the shard
        self._number += 1
        self._recordings, self._bytes = [], 0
