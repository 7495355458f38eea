"""A text that heads can learn completely, and the settings that learn it in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shard_files import write_states

from mtp_rt.model_dir import read_model_dir
from mtp_rt.training.distill.fit_config import FitConfig

PERIOD = 8
CONFIG = FitConfig(
    heads=3,
    draft_vocab=64,
    intermediate_size=64,
    steps=80,
    batch=64,
    learning_rate=5e-3,
    warm_up=5,
    averaging=0.9,
    dropout=0.0,
    dtype="float32",
    evaluate_every=1e9,
    dev_slots=256,
)


def cycles() -> list[NDArray[np.int32]]:
    """Return texts that repeat a cycle of tokens, each from another place."""
    return [np.array([(start + i) % PERIOD for i in range(40)], np.int32) for start in range(16)]


def write_cycle(folder: Path, model: Path) -> Path:
    """Record the texts; a position's state is a code of its token alone."""
    size = read_model_dir(model).config.hidden_size
    codes = np.random.default_rng(0).normal(size=(PERIOD, size)).astype(np.float32)
    write_states(folder, cycles(), [codes[text] for text in cycles()])
    return folder
