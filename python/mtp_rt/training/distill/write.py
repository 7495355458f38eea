"""Stage 1 of distillation: the model writes dialogues with itself, or answers prompts that it is given.

Dialogue i depends on the seed, the settings and i alone: the native engine's text does not depend on what is
computed beside it. Results are put in order before they are stored, so a run that was cut off anywhere goes
on as if it had not been.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mtp_rt import _core
from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.request import check_range
from mtp_rt.training.distill.author import Author, Dialogue, Dropped
from mtp_rt.training.distill.line_file import LineAppender, read_lines
from mtp_rt.training.distill.prompts import SuppliedPrompt
from mtp_rt.training.distill.report import TextReport
from mtp_rt.training.distill.run_folder import RunFolder
from mtp_rt.training.distill.workers import Workers

Progress = Callable[[str, int, int], None]
STAGE = "write"
MAX_TOKENS = 10**9
MAX_SLOTS = 256
MAX_THREADS = 256
GIVE_UP = 1000  # prompts in a row without a dialogue
AHEAD = 6  # dialogues under way per slot: those that wait for an earlier one to be stored


@dataclass(frozen=True)
class WriteSettings:
    """What the text depends on.

    Attributes:
        seed: Of everything random.
        opening_share: Part of the user turns that get an opening from the committed list, 0 .. 1.
        user_temperature: Of user turns.
        user_top_p: Of user turns.
        max_user_tokens: A user turn that does not end within these is dropped.
        answer_temperatures: Taken in turn by the dialogues.
        answer_top_p: Of sampled answers.
        max_answer_tokens: Answers are cut here.
    """

    seed: int = 0
    opening_share: float = 0.5
    user_temperature: float = 0.9
    user_top_p: float = 0.95
    max_user_tokens: int = 192
    answer_temperatures: tuple[float, ...] = (0.0, 0.7, 0.0, 1.0)
    answer_top_p: float = 0.95
    max_answer_tokens: int = 256

    def __post_init__(self) -> None:
        """Check the ranges that the engine does not check."""
        if not 0 <= self.seed < 2**32:
            raise ArgumentError(f"seed must be an integer in [0, 2**32), got {self.seed!r}")
        if not 0.0 <= self.opening_share <= 1.0:
            raise ArgumentError(f"opening_share must be a number in [0, 1], got {self.opening_share!r}")
        if not self.answer_temperatures:
            raise ArgumentError("answer_temperatures must name at least one temperature")
        for name in ("max_user_tokens", "max_answer_tokens"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} must be 1 or more, got {getattr(self, name)!r}")


def write_text(
    run: RunFolder,
    model_dir: Path,
    settings: WriteSettings,
    *,
    tokens: int,
    prompts: Sequence[SuppliedPrompt] | None = None,
    prompts_only: bool = False,
    slots: int = 32,
    threads: int = 0,
    progress: Progress | None = None,
) -> TextReport:
    """Append dialogues to the run's text until the answers hold `tokens` tokens.

    Args:
        run: Where to; what is there already counts.
        model_dir: The model that writes.
        settings: What the text depends on.
        tokens: Answer tokens wanted in all.
        prompts: Answer these first, once each; behind them the model answers prompts that it writes.
        prompts_only: End where the supplied prompts end, be the text long enough or not.
        slots: Dialogues written side by side; the text does not depend on it.
        threads: Engines of one thread that write side by side; 0 takes one per available core.
        progress: Told ("write", answer tokens stored, `tokens`) now and then.

    Returns:
        What was written in all, and what was dropped.

    Raises:
        ArgumentError: an argument is out of its range, another process writes this run, or it was begun with
            other settings.
        UnsupportedError: the model has no chat template to write prompts from, or writes no usable ones.
        Error: the model cannot be loaded, a prompt does not fit, or stored text is damaged.
        OSError: the disk is full.
    """
    check_range("tokens", tokens, 1, MAX_TOKENS)
    count, each = _share_out(slots, threads)
    author = Author(model_dir, settings, prompts, writes_prompts=prompts is None or not prompts_only)
    with run.working(STAGE):
        run.claim(STAGE, asdict(settings) | {"prompts": author.prompts_digest})
        report = TextReport.of_run(run, author.decode)
        if report.answer_tokens >= tokens:
            return report
        with (
            LineAppender(run.text_file) as text,
            LineAppender(run.dropped_file) as drops,
            Workers(author.open_engine(each), count, each) as workers,
        ):
            seen = _Seen.of_run(run)
            results = map(seen.judge, _Writing(author, workers, each * count).results(seen.next_index))
            for result in _while_some_are_kept(results, author):
                _store(result, text, drops, report)
                if progress is not None:
                    progress(STAGE, min(report.answer_tokens, tokens), tokens)
                if report.answer_tokens >= tokens:
                    break
    return report


def _store(result: Dialogue | Dropped, text: LineAppender, drops: LineAppender, report: TextReport) -> None:
    if isinstance(result, Dropped):
        drops.append(asdict(result))
        report.count_dropped(result.reason)
    else:
        text.append(result.as_line())
        report.count(result.as_line())


def _share_out(slots: int, threads: int) -> tuple[int, int]:
    """Return how many engines to open, and the slots of each."""
    check_range("slots", slots, 1, MAX_SLOTS)
    check_range("threads", threads, 0, MAX_THREADS)
    count = threads or len(os.sched_getaffinity(0))
    return count, max(1, slots // count)


def _while_some_are_kept(
    results: Iterator[Dialogue | Dropped], author: Author
) -> Iterator[Dialogue | Dropped]:
    """Yield the results; raise UnsupportedError when too many prompts of the model in a row were dropped."""
    reasons: Counter[str] = Counter()
    for result in results:
        yield result
        if not isinstance(result, Dropped):
            reasons.clear()
        elif result.index >= author.supplied:
            reasons[result.reason] += 1
        if reasons.total() >= GIVE_UP:
            raise UnsupportedError(
                f"{author.model_dir}: of {GIVE_UP} prompts that the model wrote, none gave a dialogue "
                f"({dict(reasons)}): give a prompt file, and nothing but that"
            )


class _Seen:
    """Prompts and answers that are stored: nothing is stored twice."""

    def __init__(self) -> None:
        self.next_index = 0
        self._prompts: set[str] = set()
        self._answers: set[tuple[int, ...]] = set()

    @classmethod
    def of_run(cls, run: RunFolder) -> _Seen:
        seen = cls()
        for line in read_lines(run.text_file):
            seen._add(line["index"], line["prompt_hash"], line["answer_ids"])
        for line in read_lines(run.dropped_file):
            seen.next_index = max(seen.next_index, line["index"] + 1)
        return seen

    def judge(self, result: Dialogue | Dropped) -> Dialogue | Dropped:
        """Return the next result in order as it is, or dropped if it repeats a stored one."""
        self.next_index = result.index + 1
        if isinstance(result, Dropped):
            return result
        if result.prompt_hash in self._prompts or tuple(result.answer_ids) in self._answers:
            return Dropped(result.index, "duplicate")
        self._add(result.index, result.prompt_hash, result.answer_ids)
        return result

    def _add(self, index: int, prompt_hash: str, answer_ids: Sequence[int]) -> None:
        self.next_index = max(self.next_index, index + 1)
        self._prompts.add(prompt_hash)
        self._answers.add(tuple(answer_ids))


class _Writing:
    """Keeps the workers busy with dialogues and hands them out in order."""

    def __init__(self, author: Author, workers: Workers, slots: int) -> None:
        self._author = author
        self._workers = workers
        self._low = slots
        self._ahead = AHEAD * slots
        self._asked: dict[int, Dialogue] = {}
        self._done: dict[int, Dialogue | Dropped] = {}

    def results(self, first: int) -> Iterator[Dialogue | Dropped]:
        """Yield dialogue `first` and those after it, as long as there are any."""
        begun = deque[int]()
        while True:
            while len(begun) < self._ahead and self._workers.waiting < self._low and self._author.has(first):
                begun.append(first)
                self._take(first, self._author.begin(first))
                first += 1
            if not begun:
                return
            while begun and begun[0] in self._done:
                yield self._done.pop(begun.popleft())
            if begun:
                self._await()

    def _take(self, index: int, work: _core.Request | Dialogue | Dropped) -> None:
        if isinstance(work, Dropped):
            self._done[index] = work
        elif isinstance(work, Dialogue):
            self._asked[index] = work
            self._workers.submit(index, self._author.answer_request(work), first=True)
        else:
            self._workers.submit(index, work)

    def _await(self) -> None:
        result = self._workers.next_result()
        index, ended = result.key, result.finish == "stop"
        if result.finish == "error":
            self._asked.pop(index, None)
            self._done[index] = Dropped(index, "error")
        elif index in self._asked:
            self._done[index] = self._author.finish(self._asked.pop(index), result.tokens, ended)
        else:
            self._take(index, self._author.prompt_written(index, result.tokens, ended))
