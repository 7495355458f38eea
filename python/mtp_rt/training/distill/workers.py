"""Engines that generate side by side, a thread for each.

Several engines of one thread write more text than one of several threads: nothing waits at barriers, and
tokens are picked in parallel, too. The text is the same.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from mtp_rt import _core


@dataclass(frozen=True)
class Generated:
    """What became of a request.

    Attributes:
        key: What `submit` was given.
        tokens: Generated ones, the stop token included.
        finish: "stop", "length" or "error".
    """

    key: int
    tokens: list[int]
    finish: str


class Workers:
    """Schedulers in threads that share one queue of requests.

    Args:
        open_engine: Makes an engine of one thread.
        count: How many.
        slots: Requests that each runs at the same time.
    """

    def __init__(self, open_engine: Callable[[], _core.Engine], count: int, slots: int) -> None:
        self._slots = slots
        self._waiting: deque[tuple[int, _core.Request]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._results: queue.Queue[Generated | BaseException] = queue.Queue()
        schedulers = [_core.Scheduler(open_engine()) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._work, args=(scheduler,), daemon=True) for scheduler in schedulers
        ]

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def waiting(self) -> int:
        """Requests that no worker has taken yet."""
        return len(self._waiting)

    def submit(self, key: int, request: _core.Request, *, first: bool = False) -> None:
        """Queue a request, before all that wait if `first`."""
        with self._changed:
            if first:
                self._waiting.appendleft((key, request))
            else:
                self._waiting.append((key, request))
            self._changed.notify()

    def next_result(self) -> Generated:
        """Wait for a request to end; raises what a worker raised."""
        result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def _work(self, scheduler: _core.Scheduler) -> None:
        running: dict[int, tuple[int, list[int]]] = {}
        try:
            while self._fill(scheduler, running):
                for event in scheduler.run_once():
                    key, tokens = running[event.request]
                    tokens += event.tokens
                    if event.finish_reason is not None:
                        del running[event.request]
                        self._results.put(Generated(key, tokens, event.finish_reason))
        except BaseException as error:
            self._results.put(error)

    def _fill(self, scheduler: _core.Scheduler, running: dict[int, tuple[int, list[int]]]) -> bool:
        """Give the scheduler what its free slots can take; wait if it has nothing at all. False: closed."""
        with self._changed:
            while not (self._closed or running or self._waiting):
                self._changed.wait()
            while self._waiting and len(running) < self._slots and not self._closed:
                key, request = self._waiting.popleft()
                running[scheduler.submit(request)] = (key, [])
            return not self._closed
