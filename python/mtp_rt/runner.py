"""Drives one scheduler for any number of readers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from typing import Protocol

from mtp_rt import _core
from mtp_rt.errors import EngineError


class Scheduler(Protocol):
    """The part of `_core.Scheduler` that a runner needs; tests script it."""

    def submit(self, request: _core.Request) -> int:
        """Queue a request."""

    def cancel(self, request: int) -> bool:
        """Stop a request; false if it has ended."""

    def run_once(self) -> list[_core.Event]:
        """Take one step of everything that runs."""

    @property
    def running(self) -> int:
        """Requests with a slot."""

    @property
    def waiting(self) -> int:
        """Requests without one yet."""


class Runner:
    """Submits requests and hands each reader its own events.

    There is no thread behind it: whoever waits for an event takes the step that may bring it, and keeps what
    the step brought for others. Any number of threads and half-read streams may share a runner.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lock = threading.Lock()
        self._events: dict[int, deque[_core.Event]] = {}

    def submit(self, request: _core.Request) -> int:
        """Queue a request and return its id."""
        with self._lock:
            number = self._scheduler.submit(request)
            self._events[number] = deque()
            return number

    def next_event(self, requests: Collection[int]) -> _core.Event:
        """Return the next event of one of these requests, taking steps until there is one.

        Raises:
            EngineError: one of them is unknown: it was cancelled, here or by an interruption elsewhere.
        """
        with self._lock:
            while True:
                for number in requests:
                    if number not in self._events:
                        raise EngineError(
                            f"request {number} was cancelled by an interruption: submit it again"
                        )
                    if self._events[number]:
                        return self._pop(number)
                self._step()

    def cancel(self, request: int) -> None:
        """Stop a request and forget its events. Unknown ids are ignored."""
        with self._lock:
            if self._events.pop(request, None) is not None:
                self._scheduler.cancel(request)

    def finish(self, request: int) -> _core.Event:
        """Stop a request and return its last event, which carries its statistics."""
        with self._lock:
            self._scheduler.cancel(request)
        while (event := self.next_event([request])).finish_reason is None:
            pass
        return event

    def _pop(self, request: int) -> _core.Event:
        event = self._events[request].popleft()
        if event.finish_reason is not None:
            del self._events[request]
        return event

    def _step(self) -> None:
        """Take one step. An interruption may lose events: nobody may go on with a gap in its text."""
        try:
            events = self._scheduler.run_once()
            if not events and not self._scheduler.running and not self._scheduler.waiting:
                raise EngineError("the scheduler has nothing to do, but a request is not finished")
            for event in events:
                if event.request in self._events:
                    self._events[event.request].append(event)
                else:
                    self._scheduler.cancel(event.request)  # submitted, but interrupted before its id was kept
        except BaseException:
            for number in self._events:
                self._scheduler.cancel(number)
            self._events.clear()
            raise
