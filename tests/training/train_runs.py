"""Runs of training that take a second: settings, texts, and processes that can be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from mtp_rt.training.pretrain.config import TrainConfig
from mtp_rt.training.pretrain.settings import build, override

TABLES: dict[str, Any] = {
    "data": {"validation_share": 0.3},
    "model": {"hidden_size": 32, "layers": 2, "heads": 1, "intermediate_size": 32},
    "heads": {"n": 2},
    "training": {
        "sequence": 32,
        "batch": 4,
        "accumulate": 2,
        "steps": 30,
        "learning_rate": 1e-2,
        "warm_up": 5,
        "evaluate_every": 10,
        "evaluate_sequences": 2,
        "checkpoint_every": 7,
        "threads": 1,
    },
    "export": {"layers": "f32", "lm_head": "f32", "heads": "f32"},
}

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["torch", "mtp_rt.training.pretrain.run", "matplotlib.backends.backend_agg"])


def write_texts(folder: Path, count: int = 12) -> Path:
    """Write small files of a text that can be learned: counting."""
    folder.mkdir()
    for number in range(count):
        words = " ".join(str((number * 7 + i) % 50) for i in range(40))
        (folder / f"{number}.txt").write_text(words)
    return folder


def make_config(texts: Path, *changes: str) -> TrainConfig:
    tables = override(TABLES, [f'data.train=["{texts}"]', *changes])
    return build(TrainConfig, tables, "test.toml")


def start(config: TrainConfig, out: Path, *, resume: bool) -> ForkServerProcess:
    """Train in a process of its own."""
    process = _SERVER.Process(target=_train, args=(config, out, resume))
    process.start()
    return process


def kill_after(process: ForkServerProcess, log: Path, step: int, number: signal.Signals) -> None:
    """Send a signal once the log has a step (0: at once), or the process has ended; wait for its end."""
    while process.is_alive() and step and not (log.exists() and f"\n{step}," in log.read_text()):
        time.sleep(0.005)
    if process.is_alive():
        os.kill(process.pid or 0, number)
    process.join()


def _train(config: TrainConfig, out: Path, resume: bool) -> None:
    from mtp_rt.training.pretrain.run import Listener, train

    def begun(trainer: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: trainer.stop())

    train(config, out, resume=resume, listener=Listener(begun=begun))
