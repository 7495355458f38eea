"""Training from scratch: set-up, one `train_step`, one loop.

Everything that decides a step - its sequences, learning rate and head weights - follows from its number, so a
run that goes on from a checkpoint takes the steps that an uncut one would have taken.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtp_rt.models.head_by_head import backward_head_by_head
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.training.errors import TrainingError
from mtp_rt.training.pretrain.checkpoint import (
    CHECKPOINT,
    Place,
    check_settings,
    checkpoint_bytes,
    load_checkpoint,
    save_checkpoint,
)
from mtp_rt.training.pretrain.config import TrainConfig
from mtp_rt.training.pretrain.evaluate import Evaluation, evaluate
from mtp_rt.training.pretrain.folder import check_room
from mtp_rt.training.pretrain.live import write_and_measure
from mtp_rt.training.pretrain.log import TrainLog
from mtp_rt.training.pretrain.packing import Order
from mtp_rt.training.pretrain.prepared import DATA_FILE, load, prepare
from mtp_rt.training.pretrain.start import start_from
from mtp_rt.training.pretrain.vocabulary import open_vocabulary

Progress = Callable[[str, int, int], None]  # (what, done, total)


MODEL = "model"  # the model directory of a run


@dataclass(frozen=True)
class Report:
    """Where training stands, told after every evaluation.

    Attributes:
        step, tokens, seconds: steps taken, tokens read, time spent training, over all sittings.
        dev: the evaluation.
        tokens_per_step: what drafts bring in the native engine; None without heads that draft.
    """

    step: int
    tokens: int
    seconds: float
    dev: Evaluation
    tokens_per_step: float | None


class Trainer:
    """One run of training in its folder (see `open_folder`).

    Args:
        config: the settings.
        out: where checkpoints, logs and tokens go.
        report: told after every evaluation.
        progress: told how far reading and training are.

    Raises:
        ArgumentError: the settings do not fit the data, the checkpoint in `out` or the model to start from;
            too little room.
        ModelFormatError: a file in `out` is damaged.
    """

    def __init__(
        self,
        config: TrainConfig,
        out: Path,
        *,
        report: Callable[[Report], None] = lambda _: None,
        progress: Progress = lambda *_: None,
    ) -> None:
        self.config, self._out, self._report, self._progress = config, out, report, progress
        self._training, self._schedule = config.training, config.schedule()
        if config.training.threads:
            torch.set_num_threads(config.training.threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = torch.bfloat16 if config.training.dtype == "bfloat16" else torch.float32
        self._settings = asdict(config)
        self._stopping = False
        self.vocabulary = open_vocabulary(config.data.tokenizer, config.data.end_token)
        torch.manual_seed(config.training.seed)
        described = config.model_config(self.vocabulary.size, self.vocabulary.end)
        self.model = MultiTokenModel(described, anticausal=config.heads.preset == "anticausal")
        self.model.trunk.recompute = config.training.recompute
        if config.training.compile:
            self.model.trunk.compile_blocks()
        self.model.to(self._device)
        self._optimizer = self._make_optimizer()
        self.place = self._set_up()

    def _set_up(self) -> Place:
        """Open data, log and checkpoint; return where the run stands."""
        path, folder = self._out / CHECKPOINT, self._out / "data"
        for cut_off in self._out.glob(f".{MODEL}.*"):
            shutil.rmtree(cut_off, ignore_errors=True)
        check_room(self._out, 3 * checkpoint_bytes(self.model))
        saved = load_checkpoint(path)
        if saved is not None:
            check_settings(path, saved, self._settings, saved.data)
        if saved is None or not (folder / DATA_FILE).exists():
            seed = self._training.seed
            self.data = prepare(self.config.data, self.vocabulary, folder, seed, self._progress)
        else:
            self.data = load(self.config.data, self.vocabulary, folder)
        training = self._training
        self._order = Order(self.data.train, training.sequence, training.batch, training.seed)
        self.data.validation.begins(training.sequence)
        if saved is not None:
            check_settings(path, saved, self._settings, self.data.sha256)
            saved.restore(self.model, self._optimizer)
        elif training.start is not None:
            start_from(training.start, self.model, self.vocabulary)
        place = Place() if saved is None else saved.place
        self._log = TrainLog(self._out, self.model.n, place.step)
        return place

    @property
    def finished(self) -> bool:
        """Whether all steps are taken."""
        return self.place.step >= self._training.steps

    def stop(self) -> None:
        """Let `run` write a checkpoint and return after the step it is at."""
        self._stopping = True

    def run(self) -> Report:
        """Train to the end, or until told to stop; return where that is.

        Raises:
            TrainingError: a loss or gradient is no number; the checkpoint before it stands.
            OSError: the disk is full or not writable; likewise.
        """
        training, saved_at, report = self._training, self.place.step, None
        if self.place.step == 0:
            self._save()
        while not self.finished and not self._stopping:
            report = None
            self.train_step()
            step = self.place.step
            self._progress("training", step, training.steps)
            if step % training.evaluate_every == 0 or self.finished:
                report = self._evaluate()
            if step % training.checkpoint_every == 0 or self.finished:
                self._save()
                saved_at = step
        if saved_at != self.place.step:
            self._save()
        self._log.close()
        return report or self._measure()

    def train_step(self) -> None:
        """Take one step."""
        training, started = self._training, time.perf_counter()
        step, rate = self.place.step, training.rate(self.place.step)
        weights = self._schedule.weights(step)
        parts = np.array_split(self._order.step(step), training.accumulate)
        batches = [self.data.train.batch(part, training.sequence, self.model.n) for part in parts]
        counts = torch.stack([batch.counts() for batch in batches]).sum(dim=0).clamp(min=1)[: len(weights)]
        scales = [weight / count for weight, count in zip(weights, counts.tolist(), strict=True)]
        self.model.train()
        self._optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros(len(weights), dtype=torch.float64)
        for batch in batches:
            sums += backward_head_by_head(
                self.model, batch.to(self._device), scales, self._dtype, keep=self.config.kept_graphs()
            ).cpu()
        losses = (sums / counts).tolist()
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), training.clip))
        self._check_finite(losses, norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self.place.step += 1
        self.place.tokens += training.batch * training.sequence
        self.place.seconds += time.perf_counter() - started
        self._log.step(self.place, rate, norm, losses)

    def _check_finite(self, losses: list[float], norm: float) -> None:
        if not all(map(math.isfinite, [*losses, norm])):
            raise TrainingError(
                f"step {self.place.step + 1}: the losses are {losses} and the gradient's norm is {norm}; "
                f"{self._out / CHECKPOINT} holds the last good state: start again with a lower learning rate"
            )

    def _measure(self) -> Report:
        """Return how the model does; it lies in OUT/model afterwards, if a model directory can hold it."""
        training, place, text = self._training, self.place, self.data.validation
        self.model.eval()
        dev = evaluate(self.model, text, training.sequence, training.evaluate_sequences, self._dtype)
        live = None
        if self.model.why_not_stored is None:
            live = write_and_measure(self.model, self.vocabulary, text, self.config, self._out / MODEL)
        return Report(place.step, place.tokens, place.seconds, dev, live)

    def _evaluate(self) -> Report:
        report = self._measure()
        self._log.evaluation(self.place, report.dev, report.tokens_per_step)
        self._report(report)
        return report

    def _save(self) -> None:
        path = self._out / CHECKPOINT
        save_checkpoint(
            path, self.model, self._optimizer, self.place, settings=self._settings, data=self.data.sha256
        )

    def _make_optimizer(self) -> torch.optim.Optimizer:
        decayed: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in self.model.named_parameters():
            outer = parameter.ndim < 2 or "embed" in name or "lm_head" in name
            (others if outer else decayed).append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": self._training.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        betas = (self._training.beta1, self._training.beta2)
        return torch.optim.AdamW(groups, lr=self._training.learning_rate, betas=betas, fused=True)
