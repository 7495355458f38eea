"""What the fit stage is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import HeadsConfig, ModelConfig
from mtp_rt.models.heads import heads_config
from mtp_rt.models.losses import WeightRule


@dataclass(frozen=True)
class FitConfig:
    """Settings of the fit stage; everything that decides the result is here.

    Attributes:
        preset: which heads (mtp_rt.models.heads.PRESETS).
        heads: drafts that are trained and shipped.
        intermediate_size: inner size of the heads' MLPs; None: the trunk's.
        draft_vocab: tokens that the heads score, the most frequent of the written text; None: all.
        window: positions that attending heads look back to; None: all.
        start: a model directory with such heads, whose weights training begins with; None: they are drawn.
        hours: time to train; the learning rate falls to its end by then.
        steps: train this many steps instead, whatever time that takes; 0: by the clock.
        batch: slots of one step.
        learning_rate: its peak.
        warm_up: steps until the peak.
        final_rate: the last learning rate as a share of the peak.
        weight_decay: of matrices.
        clip: largest norm of the gradient.
        weights: rule of the drafts' losses (mtp_rt.models.losses.depth_weights).
        beta: base of that rule.
        label_share: share of the text's own token in each target, the rest is the main head's distribution.
        negatives: rows of the output matrix that score a batch beside those that its targets name; 0: all
            rows. Fewer rows make a step cheaper and its gradient a little noisier.
        dropout: share of the MLPs' inner values that training hides.
        averaging: decay of the running mean of the weights, which is what is evaluated and shipped.
        dtype: of the matrix products.
        seed: of the order of the slots and the first weights.
        dev_slots: slots of the development split's greedy text in each evaluation.
        evaluate_every: seconds between evaluations, and between checkpoints.
        patience: evaluations without progress after which training ends; 0: never.
        threads: of PyTorch; 0: as it likes.
    """

    preset: str = "recurrent"
    heads: int = 4
    intermediate_size: int | None = None
    draft_vocab: int | None = 16384
    window: int | None = None
    start: str | None = None
    hours: float = 1.0
    steps: int = 0
    batch: int = 512
    learning_rate: float = 2e-3
    warm_up: int = 100
    final_rate: float = 0.02
    weight_decay: float = 0.1
    clip: float = 1.0
    weights: WeightRule = "beta"
    beta: float = 0.8
    label_share: float = 0.2
    negatives: int = 512
    dropout: float = 0.2
    averaging: float = 0.998
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    seed: int = 0
    dev_slots: int = 4096
    evaluate_every: float = 300.0
    patience: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ArgumentError: one is out of its range.
        """
        positive = ("hours", "batch", "learning_rate", "clip", "beta", "dev_slots", "evaluate_every")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ArgumentError(f"{name}: {getattr(self, name)} is not above 0")
        for name in ("label_share", "averaging", "final_rate", "dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name}: {getattr(self, name)} is outside 0 to 1")
        for name in ("steps", "warm_up", "negatives", "weight_decay", "patience", "threads"):
            if not getattr(self, name) >= 0:
                raise ArgumentError(f"{name}: {getattr(self, name)} is negative")

    def heads_for(self, trunk: ModelConfig) -> HeadsConfig:
        """Return the description of such heads on a trunk.

        Raises:
            ArgumentError: no such preset, or a number that does not fit the trunk.
        """
        return heads_config(
            self.preset,
            trunk,
            self.heads,
            intermediate_size=self.intermediate_size,
            draft_vocab_size=self.draft_vocab,
            window=self.window,
        )
