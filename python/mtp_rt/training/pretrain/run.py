"""`mtp-rt train` from beginning to end: train, write the model, see how far its drafts reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtp_rt.training.distill.native_acceptance import measure_native_texts
from mtp_rt.training.pretrain.config import TrainConfig
from mtp_rt.training.pretrain.export import write_model
from mtp_rt.training.pretrain.folder import open_folder
from mtp_rt.training.pretrain.packing import Packed
from mtp_rt.training.pretrain.trainer import Progress, Report, Trainer

_POSITIONS = 4096  # of the validation text at which the finished model drafts
_PROMPT = 16  # tokens of a text that come before its first draft


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
    """Train in the folder OUT; once all steps are taken, write OUT/model and let its heads draft.

    Args:
        config: the settings.
        out: the run folder.
        resume: go on where it stands; without a run in it, begin.
        listener: is told.

    Returns:
        `finished`, `step`, `tokens`, `seconds`, `out`; the last evaluation's `losses`, `accuracy` and
        `bits_per_byte` by tokens ahead; `model` (None where there is none yet) and `tokens_per_step`, what
        drafts of the finished model bring on validation text in the native engine (None without heads).

    Raises:
        ArgumentError, ModelFormatError, UnsupportedError, TrainingError, OSError: as the parts say.
    """
    with open_folder(out, resume=resume):
        trainer = Trainer(config, out, report=listener.report, progress=listener.progress)
        listener.begun(trainer)
        dev = trainer.run()
        writes = trainer.finished and not trainer.model.anticausal
        model = out / "model" if writes else None
        per_step = None if model is None else _finish(trainer, model)
    place = trainer.place
    return {
        "finished": trainer.finished,
        "out": str(out),
        "model": None if model is None else str(model),
        "step": place.step,
        "tokens": place.tokens,
        "seconds": round(place.seconds, 2),
        **{name: list(values) for name, values in asdict(dev).items()},
        "tokens_per_step": per_step,
    }


def _finish(trainer: Trainer, target: Path) -> float | None:
    """Write the model; return the tokens per step of its drafts, which config.json gets to know too."""
    write_model(trainer.model, trainer.vocabulary, target, trainer.config.export)
    if trainer.model.heads is None:
        return None
    texts = _texts(trainer.data.validation, trainer.config.training.sequence)
    acceptance = measure_native_texts(target, texts, trainer.config.training.threads)
    alpha = tuple(round(chance, 4) for chance in acceptance.alpha)
    write_model(trainer.model, trainer.vocabulary, target, trainer.config.export, alpha)
    return acceptance.walked


def _texts(validation: Packed, sequence: int) -> list[tuple[list[int], int]]:
    """Return sequences of the validation text, and where drafts begin in each."""
    begins, first = validation.begins(sequence), max(1, min(_PROMPT, sequence // 4))
    wanted = min(len(begins), max(1, _POSITIONS // sequence))
    chosen = begins[np.linspace(0, len(begins) - 1, wanted).astype(np.int64)]
    return [(validation.tokens[begin : begin + sequence].tolist(), first) for begin in chosen]
