"""A peer in a process of its own, seen from the benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any

from mtp_rt.bench.peers.protocol import Ready, Run, Setup, Work, to_json
from mtp_rt.errors import EngineError

WORKER = [sys.executable, "-m", "mtp_rt.bench.peers.worker"]
LOAD_TIMEOUT = 300.0
RUN_TIMEOUT = 300.0
LINE_SHOWN = 400


class Process:
    """Starts the worker of a system and hands it requests; close it, or use it as a context manager.

    Args:
        name: What errors call the system.
        setup: What the worker loads.

    Raises:
        EngineError: the worker ended, answered nonsense, or took longer than its time limit.
    """

    def __init__(self, name: str, setup: Setup) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._child = subprocess.Popen(
            [*WORKER, json.dumps(to_json(setup))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
        )
        try:
            self.ready = Ready(**self._receive(LOAD_TIMEOUT))
        except BaseException:
            self.close()
            raise

    def run(self, work: Work) -> Run:
        """Let the system do one piece of work while this process waits."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(to_json(work)) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise EngineError(self._failure("ended before it was asked")) from None
        run = Run(**self._receive(RUN_TIMEOUT))
        if len(run.tokens) != work.max_tokens:
            raise EngineError(
                f"{self.name} decoded {len(run.tokens)} tokens instead of {work.max_tokens}: not comparable"
            )
        return run

    def close(self) -> None:
        """End the process."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._stderr.close()

    def __enter__(self) -> Process:
        """Return the running process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

    def _receive(self, timeout: float) -> dict[str, Any]:
        assert self._child.stdout is not None
        watchdog = threading.Timer(timeout, self._child.kill)
        watchdog.start()
        try:
            line = self._child.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise EngineError(self._failure(f"ended, or took longer than {timeout:g} s"))
        try:
            message = json.loads(line)
        except ValueError:
            raise EngineError(self._failure(f"answered {line[:80]!r} instead of JSON")) from None
        if not isinstance(message, dict):
            raise EngineError(self._failure(f"answered {line[:80]!r} instead of an object"))
        return message

    def _failure(self, what: str) -> str:
        # Not by seeking: the child writes at the same offset.
        text = os.pread(self._stderr.fileno(), os.fstat(self._stderr.fileno()).st_size, 0)
        lines = text.decode("utf-8", "replace").strip().splitlines()
        return f"{self.name}: its process {what}" + (f"; it said: {lines[-1][:LINE_SHOWN]}" if lines else "")
