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

    There is no thread behind it: a reader without an event takes the step that may bring one, unless another
    reader is at it, and keeps what the step brings for others. Threads and half-read streams may share it.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._changed = threading.Condition()
        self._stepping = False
        self._events: dict[int, deque[_core.Event]] = {}

    def submit(self, request: _core.Request) -> int:
        """Queue a request and return its id."""
        with self._changed:
            number = self._scheduler.submit(request)
            self._events[number] = deque()
            return number

    def next_event(self, requests: Collection[int]) -> _core.Event:
        """Return the next event of one of these requests, taking steps until there is one.

        Raises:
            EngineError: one of them is unknown: it was cancelled, here or by an interruption elsewhere.
        """
        while True:
            mine = False
            try:
                with self._changed:
                    event = self._ready(requests)
                    if event is not None:
                        return event
                    if self._stepping:
                        self._changed.wait()
                        continue
                    mine = self._stepping = True
                events = self._scheduler.run_once()
                with self._changed:
                    self._sort(events)
                    self._stepping = False
                    self._changed.notify_all()
            except BaseException:
                if mine:
                    self._abort()
                raise

    def cancel(self, request: int) -> None:
        """Stop a request and forget its events. Unknown ids are ignored."""
        with self._changed:
            if self._events.pop(request, None) is not None:
                self._scheduler.cancel(request)

    def finish(self, request: int) -> _core.Event:
        """Stop a request and return its last event, which carries its statistics."""
        self._scheduler.cancel(request)
        while (event := self.next_event([request])).finish_reason is None:
            pass
        return event

    def _ready(self, requests: Collection[int]) -> _core.Event | None:
        for number in requests:
            if number not in self._events:
                raise EngineError(f"request {number} was cancelled by an interruption: submit it again")
            if self._events[number]:
                event = self._events[number].popleft()
                if event.finish_reason is not None:
                    del self._events[number]
                return event
        return None

    def _sort(self, events: list[_core.Event]) -> None:
        if not events and not self._scheduler.running and not self._scheduler.waiting:
            raise EngineError("the scheduler has nothing to do, but a request is not finished")
        for event in events:
            if event.request in self._events:
                self._events[event.request].append(event)
            else:
                self._scheduler.cancel(event.request)  # submitted, but interrupted before its id was kept

    def _abort(self) -> None:
        """Cancel everything: an interrupted step may have lost events, and no text may have a gap."""
        with self._changed:
            for number in self._events:
                self._scheduler.cancel(number)
            self._events.clear()
            self._stepping = False
            self._changed.notify_all()
