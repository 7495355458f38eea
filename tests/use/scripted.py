"""A scheduler that follows a script: what each step commits for each request is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stats:
    prompt_tokens: int = 3
    generated_tokens: int = 0
    steps: int = 0
    drafted_per_position: list[int] = field(default_factory=list)
    accepted_per_position: list[int] = field(default_factory=list)
    prefill_seconds: float = 0.5
    decode_seconds: float = 0.0
    draft_seconds: float = 0.0
    drafted_by_source: dict[str, int] = field(default_factory=dict)
    accepted_by_source: dict[str, int] = field(default_factory=dict)


@dataclass
class TokenLogprob:
    token: int
    logprob: float
    rank: int


@dataclass
class Event:
    request: int
    tokens: list[int]
    finish_reason: str | None = None
    error: str | None = None
    stats: Stats | None = None

    @property
    def logprobs(self) -> list[list[TokenLogprob]]:
        return [[TokenLogprob(token, -float(token), 1)] for token in self.tokens]


@dataclass
class Running:
    commits: list[list[int]]
    finish: str
    given: int = 0
    tokens: int = 0


class ScriptedScheduler:
    """Takes (commits, finish reason) where the real one takes a request; one commit a step, one second each.

    `fail_at` steps raise `failure` instead of running, after having run as far as the outside can tell.
    """

    def __init__(
        self, *, fail_at: Sequence[int] = (), failure: type[BaseException] = KeyboardInterrupt
    ) -> None:
        self.cancelled: list[int] = []
        self.steps = 0
        self._fail_at = fail_at
        self._failure = failure
        self._running: dict[int, Running] = {}
        self._ended: list[Event] = []
        self._submitted = 0

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return 0

    def submit(self, request: Any) -> int:
        self._submitted += 1
        self._running[self._submitted] = Running(*request)
        return self._submitted

    def cancel(self, request: int) -> bool:
        running = self._running.pop(request, None)
        if running is None:
            return False
        self.cancelled.append(request)
        self._ended.append(Event(request, [], "cancelled", None, self._stats(running)))
        return True

    def run_once(self) -> list[Any]:
        events, self._ended = self._ended, []
        for number, running in list(self._running.items()):
            tokens = running.commits[running.given]
            running.given += 1
            running.tokens += len(tokens)
            event = Event(number, tokens)
            if running.given == len(running.commits):
                event.finish_reason, event.stats = running.finish, self._stats(running)
                event.error = "the engine failed" if running.finish == "error" else None
                del self._running[number]
            events.append(event)
        self.steps += 1
        if self.steps in self._fail_at:
            raise self._failure
        return events

    @staticmethod
    def _stats(running: Running) -> Stats:
        steps = max(0, running.given - 1)
        taken = [sum(len(commit) > k + 1 for commit in running.commits[1 : running.given]) for k in range(4)]
        return Stats(
            generated_tokens=running.tokens,
            steps=steps,
            drafted_per_position=[steps if count else 0 for count in taken],
            accepted_per_position=taken,
            decode_seconds=float(steps),
        )
