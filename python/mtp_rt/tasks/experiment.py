"""One experiment: a small model trained on a task's own examples, for several seeds, scored by the task.

Each seed's result is written when it is there; a run that goes on keeps those and takes the next seed.
"""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import ModelConfig
from mtp_rt.models.head_by_head import TokenBatch, backward_head_by_head
from mtp_rt.models.heads import PRESETS, heads_config
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.training.errors import TrainingError
from mtp_rt.training.files import write_atomically
from mtp_rt.training.pretrain.folder import open_folder

RESULTS = "results.json"


@dataclass(frozen=True)
class ExperimentConfig:
    """Model and training of an experiment; every table of a task's config has these.

    Attributes:
        preset: heads of n > 1.
        seeds: how many, from 0.
        batch: examples of a step.
        evaluate_every: steps between scores.
        enough: training of a seed ends once the task's first score reaches this; above 1: after `steps`.
        threads: of PyTorch; 0: as it likes.
    """

    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    preset: str = "gloeckle"
    seeds: int = 3
    steps: int = 5000
    batch: int = 256
    learning_rate: float = 5e-4
    warm_up: int = 100
    weight_decay: float = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    evaluate_every: int = 500
    enough: float = 2.0
    threads: int = 0

    def __post_init__(self) -> None:
        """Check the names and numbers."""
        if self.preset not in PRESETS:
            raise ArgumentError(f"preset: {self.preset!r} is not one of {', '.join(PRESETS)}")
        for name in ("layers", "heads", "seeds", "steps", "batch", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name}: {getattr(self, name)} is not above 0")
        if self.hidden_size % (32 * self.heads):
            raise ArgumentError(f"heads: {self.heads} do not divide hidden_size into multiples of 32")


class Task(ABC):
    """What an experiment trains on and how it scores.

    Attributes:
        config: its settings, a dataclass.
        vocab_size: tokens.
        n: tokens predicted at once.
        context: length of an example.
    """

    config: Any
    vocab_size: int
    n: int
    context: int

    @abstractmethod
    def batch(self, seed: int, step: int, size: int) -> TokenBatch:
        """Return the examples of a step of a seed's training."""

    @abstractmethod
    def score(self, model: MultiTokenModel) -> dict[str, float]:
        """Return what the model does on examples kept back, as shares by name; what counts stands first."""


def run_experiment(
    task: Task,
    fit: ExperimentConfig,
    out: Path,
    *,
    resume: bool,
    report: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
) -> dict[str, Any]:
    """Train and score every seed; return OUT/results.json: the settings, and the last scores of each seed.

    Args:
        task: what is learned.
        fit: model and training.
        out: the folder.
        resume: keep the seeds that are done.
        report: told (seed, step, scores) after every evaluation.

    Raises:
        ArgumentError: the folder holds something else, or results of other settings.
        TrainingError: a loss is no number.
    """
    asked = {"task": asdict(task.config), "fit": asdict(fit)}
    if fit.threads:
        torch.set_num_threads(fit.threads)
    with open_folder(out, resume=resume, holds=RESULTS):
        path = out / RESULTS
        done: dict[str, Any] = {"settings": asked, "parameters": 0, "seeds": []}
        if path.exists():
            done = json.loads(path.read_bytes())
            if _without_seeds(done["settings"]) != _without_seeds(asked):
                raise ArgumentError(f"{path} was made with other settings; choose another --out")
            done["settings"] = asked
        for seed in range(len(done["seeds"]), fit.seeds):
            result = run_seed(task, fit, seed, report)
            done["parameters"] = result.pop("parameters")
            del result["cpu_seconds"]  # the same run gives the same file
            done["seeds"].append(result)
            write_atomically(path, [(json.dumps(done, indent=2) + "\n").encode()])
    return done


def run_seed(
    task: Task,
    fit: ExperimentConfig,
    seed: int,
    report: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
) -> dict[str, Any]:
    """Train and score one seed: its last `step`, `loss` and scores, `cpu_seconds`, `parameters` and `curve`.

    Raises:
        TrainingError: a loss is no number.
    """
    started, model = time.process_time(), make_model(task, fit, seed)
    curve = _fit(model, task, fit, seed, lambda *told: report(seed, *told))
    return {
        "seed": seed,
        **curve[-1],
        "cpu_seconds": round(time.process_time() - started, 1),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "curve": curve,
    }


def make_model(task: Task, fit: ExperimentConfig, seed: int) -> MultiTokenModel:
    """Return a new model of the task's vocabulary, in which blocks of heads take layers of the trunk."""
    torch.manual_seed(seed)
    taken = task.n - 1 if PRESETS[fit.preset].body == "block" else 0
    if fit.layers <= taken:
        raise ArgumentError(
            f"fit.layers: {fit.layers} are not enough for {taken} heads that take a layer each"
        )
    sizes: dict[str, Any] = {
        "format_version": 1,
        "architecture": "LlamaForCausalLM",
        "hidden_size": fit.hidden_size,
        "intermediate_size": -(-fit.hidden_size * 8 // 96) * 32,
        "layers": fit.layers - taken,
        "heads": fit.heads,
        "kv_heads": fit.heads,
        "head_dim": fit.hidden_size // fit.heads,
        "vocab_size": task.vocab_size,
        "context": task.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_layout": "half",
        "tied_embedding": True,
        "bos": None,
        "eos": (),
        "two_stage_margin": None,
    }
    trunk = ModelConfig(**sizes, extra_heads=None)
    extra = heads_config(fit.preset, trunk, task.n - 1, most=31) if task.n > 1 else None
    return MultiTokenModel(ModelConfig(**sizes, extra_heads=extra))


def _fit(
    model: MultiTokenModel, task: Task, fit: ExperimentConfig, seed: int, report: Callable[..., None]
) -> list[dict[str, float]]:
    """Train a model; return its scores at every evaluation, with `step` and `loss`."""
    optimizer = torch.optim.AdamW(
        model.parameters(), fit.learning_rate, (0.9, 0.95), weight_decay=fit.weight_decay, fused=True
    )
    dtype = torch.bfloat16 if fit.dtype == "bfloat16" else torch.float32
    curve: list[dict[str, float]] = []
    for step in range(fit.steps):
        for group in optimizer.param_groups:
            group["lr"] = fit.learning_rate * min(1.0, (step + 1) / max(1, fit.warm_up))
        batch = task.batch(seed, step, fit.batch)
        counts = batch.counts().clamp(min=1).tolist()
        optimizer.zero_grad(set_to_none=True)
        sums = backward_head_by_head(model, batch, [1 / count for count in counts], dtype)
        loss = float(sums[0]) / counts[0]
        if not math.isfinite(loss):
            raise TrainingError(
                f"seed {seed}: the loss of step {step + 1} is {loss}; lower fit.learning_rate"
            )
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % fit.evaluate_every == 0 or step + 1 == fit.steps:
            scores = task.score(model.eval())
            model.train()
            curve.append({"step": step + 1, "loss": loss, **scores})
            report(step + 1, scores)
            if next(iter(scores.values())) >= fit.enough:
                break
    return curve


def _without_seeds(settings: dict[str, Any]) -> dict[str, Any]:
    free = ("seeds", "threads")
    return {**settings, "fit": {name: v for name, v in settings["fit"].items() if name not in free}}


def generator(*numbers: int) -> np.random.Generator:
    """Return the generator of random numbers that belongs to these numbers."""
    return np.random.default_rng(list(numbers))
