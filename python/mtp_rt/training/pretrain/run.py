"""`mtp-rt train` from beginning to end: train, and say what has become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mtp_rt.training.pretrain.config import TrainConfig
from mtp_rt.training.pretrain.folder import open_folder
from mtp_rt.training.pretrain.trainer import MODEL, Progress, Report, Trainer


@dataclass(frozen=True)
class Listener:
    """Who is told what.

    Attributes:
        report: of every evaluation.
        progress: how far reading and training are.
        begun: given the trainer before its first step, to stop it.
    """

    report: Callable[[Report], None] = lambda _: None
    progress: Progress = lambda *_: None
    begun: Callable[[Trainer], None] = lambda _: None


def train(config: TrainConfig, out: Path, *, resume: bool, listener: Listener) -> dict[str, Any]:
    """Train in the folder OUT; OUT/model is the model as of the last evaluation.

    Args:
        config: the settings.
        out: the run folder.
        resume: go on where it stands; without a run in it, begin.
        listener: is told.

    Returns:
        `finished`, `step`, `tokens`, `seconds`, `out`; the last evaluation's `losses`, `accuracy` and
        `bits_per_byte` by tokens ahead; `model` (None where there is none yet) and `tokens_per_step`, what
        its drafts bring on validation text in the native engine (None without heads).

    Raises:
        ArgumentError, ModelFormatError, UnsupportedError, TrainingError, OSError: as the parts say.
    """
    with open_folder(out, resume=resume):
        trainer = Trainer(config, out, report=listener.report, progress=listener.progress)
        listener.begun(trainer)
        done = trainer.run()
    place, model = trainer.place, out / MODEL
    return {
        "finished": trainer.finished,
        "out": str(out),
        "model": str(model) if model.exists() else None,
        "step": place.step,
        "tokens": place.tokens,
        "seconds": round(place.seconds, 2),
        **{name: list(values) for name, values in asdict(done.dev).items()},
        "tokens_per_step": done.tokens_per_step,
    }
