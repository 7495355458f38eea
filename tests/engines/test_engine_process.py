"""Engines as guests in a process: beside each other, beside Python threads, after failures."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from driving import chain, feed, run_alone, verify

from mtp_rt._core import Engine

TOKENS = np.random.default_rng(2).integers(0, 512, 60).tolist()


def test_engines_share_nothing(tiny_model: Path, variant: Callable[[str], Path]) -> None:
    """Two models, interleaved and from two threads at once, give what each gives alone."""
    paths = [tiny_model, variant("q8")]
    expected = [run_alone(Engine(str(path), threads=1), TOKENS) for path in paths]
    engines = [Engine(str(path), threads=2) for path in paths]
    for at, token in enumerate(TOKENS):
        for engine, wanted in zip(engines, expected, strict=True):
            assert np.array_equal(verify(engine, chain(engine, 0, [token])).row(0), wanted.row(at))
            engine.commit([(0, [0])])
    with ThreadPoolExecutor(2) as threads:
        for found, wanted in zip(threads.map(run_alone, engines, [TOKENS] * 2), expected, strict=True):
            assert np.array_equal(found.logits, wanted.logits)


def test_verify_releases_the_interpreter_lock(tiny_model: Path) -> None:
    """Another Python thread makes progress during one verify call, though no switch is forced."""
    engine = Engine(str(tiny_model), threads=1, isa="generic", max_rows=300)
    rows = chain(engine, 0, [i % 512 for i in range(300)])
    columns = [[row[i] for row in rows] for i in range(4)]
    ticks: list[int] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(1)
            time.sleep(1e-4)

    ticker = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        ticker.start()
        before = len(ticks)
        engine.verify(*columns, [True] * len(rows))
        after = len(ticks)
    finally:
        sys.setswitchinterval(interval)
        done.set()
        ticker.join()
    assert after > before + 1


def test_outputs_outlive_their_engine(tiny_model: Path) -> None:
    engine = Engine(str(tiny_model), threads=1)
    found = verify(engine, chain(engine, 0, TOKENS))
    copies = [part.copy() for part in found]
    verify(engine, chain(engine, 0, TOKENS[::-1]))
    del engine
    gc.collect()
    for part, copy in zip(found, copies, strict=True):
        assert np.array_equal(part, copy)


def test_opening_and_closing_leaves_no_thread_behind(tiny_model: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = count()
    for _ in range(50):
        engine = Engine(str(tiny_model), threads=3)
        feed(engine, 0, TOKENS)
        del engine
    assert count() <= before


def test_more_threads_than_the_model_has_work(variant: Callable[[str], Path]) -> None:
    """Threads without a single output row still give the same bits."""
    path = str(variant("narrow"))
    tokens = [token % 33 for token in TOKENS]
    expected = run_alone(Engine(path, threads=1), tokens)
    assert np.array_equal(run_alone(Engine(path, threads=8), tokens).logits, expected.logits)
