"""Stage 3 of a distillation: heads learn from recorded shards.

The loop is the whole of it: a random batch of slots, the objective, a step of AdamW, a running mean of the
weights; now and then an evaluation and a checkpoint, from which a run goes on as if it had not been cut off.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtp_rt.model_dir import read_model_dir
from mtp_rt.models.heads import PRESETS
from mtp_rt.models.losses import depth_weights
from mtp_rt.training.distill.acceptance import Acceptance, measure
from mtp_rt.training.distill.average import WeightAverage
from mtp_rt.training.distill.checkpoint import load_checkpoint, save_checkpoint
from mtp_rt.training.distill.fit_config import FitConfig
from mtp_rt.training.distill.fit_log import FitLog
from mtp_rt.training.distill.frozen import heads_on, most_frequent
from mtp_rt.training.distill.objective import Objective
from mtp_rt.training.distill.place import Place
from mtp_rt.training.distill.slots import SlotBatch
from mtp_rt.training.distill.spans import examples
from mtp_rt.training.distill.start import start_from
from mtp_rt.training.distill.tapped import rescale_fuse, start_near_state, unit_scale
from mtp_rt.training.errors import TrainingError

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
TAP_SAMPLE = 8192  # slots from which the sizes of tapped layers are known


@dataclass(frozen=True)
class Report:
    """Where training stands, told after every evaluation.

    Attributes:
        step, visits, seconds: steps taken, slots seen, time spent training, over all sittings.
        progress: 0 .. 1 of the schedule.
        loss: mean of the losses since the last report.
        dev: acceptance on the development split's greedy text.
        coverage: share of the text that the draft vocabulary makes up.
    """

    step: int
    visits: int
    seconds: float
    progress: float
    loss: float
    dev: Acceptance
    coverage: float


class Fitter:
    """The fit stage: set-up, one `train_step`, one loop.

    Args:
        model_dir: the model whose heads are trained.
        states: the folder of recorded shards.
        out: where checkpoints and logs go.
        config: the settings.
        report: told after every evaluation.
        counts: how often each token occurs in the text, for the draft vocabulary; None: in the shards.
    """

    def __init__(
        self,
        model_dir: Path,
        states: Path,
        out: Path,
        config: FitConfig,
        *,
        report: Callable[[Report], None] = lambda _: None,
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._states, self._out, self._config, self._report = states, out, config, report
        if config.threads:
            torch.set_num_threads(config.threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
        saved = load_checkpoint(out / CHECKPOINT, asdict(config))
        self._place = Place() if saved is None else Place(**saved["place"])
        self._tap_scale: Tensor | None = None if saved is None else saved.get("tap_scale")
        self._open_slots(None if saved is None else self._place.shards)
        model = read_model_dir(model_dir)
        described = config.heads_for(model.config)
        if counts is None:
            counts = self._train.token_counts(model.config.vocab_size)
        ids = saved["draft_ids"] if saved is not None else None
        if saved is None and config.draft_vocab is not None:
            ids = most_frequent(counts, config.draft_vocab)
        self._coverage = 1.0 if ids is None else float(counts[ids.numpy()].sum() / counts.sum())
        torch.manual_seed(config.seed)
        self.heads = heads_on(model, described, ids)
        if saved is None:
            whole = config.start is not None and start_from(Path(config.start), self.heads, model_dir)
            if described.taps:
                self._scale_taps(keep_fuse=whole)
        self.heads.to(self._device)
        self.heads.set_dropout(config.dropout)
        self._average = WeightAverage(self.heads, config.averaging)
        self._optimizer = self._make_optimizer()
        weights = depth_weights(config.heads, config.weights, config.beta)
        self._objective = Objective(weights, config.label_share, config.negatives, self._dtype)
        self._log = FitLog(out, config.heads, self._place.step)
        if saved is not None:
            self.heads.load_state_dict(saved["heads"])
            self._average.load(saved["average"])
            self._optimizer.load_state_dict(saved["optimizer"])

    def run(self) -> Acceptance:
        """Train to the end of the schedule, or until nothing improves; return the last acceptance.

        Raises:
            TrainingError: the loss is no number; the checkpoint before it stands.
        """
        losses: list[float] = []
        before, started = self._place.seconds, time.perf_counter()
        if self._place.step == 0:
            self._evaluate(losses)
        evaluated = time.perf_counter()
        for batch in self._batches():
            if self._place.progress(self._config) >= 1 or self._is_stale():
                break
            losses.append(self.train_step(batch))
            now = time.perf_counter()
            self._place.seconds = before + now - started
            done = self._place.progress(self._config) >= 1
            if done or now - evaluated >= self._config.evaluate_every:
                self._evaluate(losses)
                losses, evaluated = [], time.perf_counter()
        return self._measure()

    def train_step(self, batch: SlotBatch) -> float:
        """Take one step; return the loss."""
        place, rate = self._place, self._place.rate(self._config)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # All that is drawn depends on it: a resumed run repeats it.
        torch.manual_seed((self._config.seed << 32) + place.step)
        self.heads.train()
        loss, divergence = self._objective(self.heads, batch)
        if not math.isfinite(value := loss.item()):
            raise TrainingError(
                f"the loss of step {place.step + 1} is {value}; {self._out / CHECKPOINT} holds the last good "
                "state: start again with a lower learning rate"
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.heads.parameters(), self._config.clip)
        self._optimizer.step()
        place.step += 1
        place.visits += int(batch.valid_NK[:, 0].sum())
        self._average.follow(place.step)
        self._log.step(place, rate, value, divergence)
        return value

    def _is_stale(self) -> bool:
        return 0 < self._config.patience <= self._place.stale

    def _scale_taps(self, *, keep_fuse: bool) -> None:
        """Let heads read tapped layers as values of unit size."""
        chosen = self._train.spread(TAP_SAMPLE)
        self._tap_scale = unit_scale(self._train.batch(chosen))
        self._use_tap_scale()
        if keep_fuse:
            rescale_fuse(self.heads, self._tap_scale.reciprocal())
        else:
            start_near_state(self.heads, self._train.batch(chosen))

    def _use_tap_scale(self) -> None:
        if self._tap_scale is not None:
            for slots in (self._train, self._dev):
                slots.scale_taps(self._tap_scale.numpy())

    def _open_slots(self, shards: list[str] | None) -> None:
        kind = examples(PRESETS[self._config.preset].body == "block")
        self._train = kind(self._states, "train", self._config.heads, shards)
        self._dev = kind(self._states, "dev", self._config.heads, shards, greedy=True)
        self._place.shards = self._train.names
        self._use_tap_scale()
        if len(self._train) < self._batch_size() or not len(self._dev):
            raise TrainingError(
                f"{self._states} holds {len(self._train)} examples to train on and {len(self._dev)} greedy "
                f"ones to evaluate on; {self._batch_size()} and 1 are needed: record more text"
            )

    def _batches(self) -> Iterator[SlotBatch]:
        """Give batches for ever, each pass in an order of its own; new shards join at its start."""
        place, size = self._place, self._batch_size()
        while True:
            order = np.random.default_rng([self._config.seed, place.epoch]).permutation(len(self._train))
            while place.cursor + size <= len(order):
                chosen = order[place.cursor : place.cursor + size]
                place.cursor += size
                yield self._train.batch(chosen)
            place.epoch, place.cursor = place.epoch + 1, 0
            self._open_slots(None)

    def _batch_size(self) -> int:
        return max(1, self._config.batch // self._train.slots_each)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        parameters = list(self.heads.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self._config.weight_decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self._config.learning_rate, betas=(0.9, 0.98), fused=True)

    def _measure(self) -> Acceptance:
        """Return the acceptance of the averaged weights on the development split's greedy text."""
        chosen = self._dev.spread(self._config.dev_slots)
        with self._average.in_use():
            return measure(self.heads, self._dev, chosen, self._dtype)

    def _evaluate(self, losses: list[float]) -> None:
        place, dev = self._place, self._measure()
        better = dev.tokens_per_step > place.best
        place.stale = 0 if better else place.stale + 1
        place.best = max(place.best, dev.tokens_per_step)
        self._log.evaluation(place, dev)
        self._save(self._out / CHECKPOINT)
        if better:
            self._save(self._out / BEST)
        mean = sum(losses) / len(losses) if losses else math.nan
        progress = place.progress(self._config)
        self._report(Report(place.step, place.visits, place.seconds, progress, mean, dev, self._coverage))

    def _save(self, path: Path) -> None:
        content = {
            "config": asdict(self._config),
            "heads": self.heads.state_dict(),
            "average": self._average.weights,
            "optimizer": self._optimizer.state_dict(),
            "place": asdict(self._place),
            "tap_scale": self._tap_scale,
            "draft_ids": None if self._config.draft_vocab is None else self.heads.draft_ids.cpu(),
        }
        save_checkpoint(path, content)
