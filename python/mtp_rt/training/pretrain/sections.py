"""The tables of a training config; docs/training.md describes every field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import Kind, Unembedding
from mtp_rt.models.heads import PRESETS
from mtp_rt.models.losses import WeightRule
from mtp_rt.training.pretrain.curriculum import Curriculum
from mtp_rt.training.rate import learning_rate

MOST_TOKENS = 32  # predicted at once


@dataclass(frozen=True)
class DataConfig:
    """Texts to learn from.

    Attributes:
        train: files (text, .jsonl, .parquet), folders, and names behind "datasets:".
        validation: likewise; empty: a share of `train`.
        validation_share: of the documents of `train`, chosen by their hashes.
        field: of JSON lines and parquet files that holds the text.
        suffixes: of the files taken from folders; empty: of all that hold text.
        tokenizer: "bytes", or a Hugging Face tokenizer.json.
        end_token: that tokenizer's token for the end of a document.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    validation_share: float = 0.02
    field: str = "text"
    suffixes: tuple[str, ...] = ()
    tokenizer: str = "bytes"
    end_token: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.train:
            raise ArgumentError("train: names no file")
        _check_range("validation_share", self.validation_share, 0, 0.5)


@dataclass(frozen=True)
class SizeConfig:
    """Sizes of the model.

    Attributes:
        layers: of trunk and heads together where those are compute-matched.
        kv_heads: None: as many as heads.
        head_dim: None: hidden_size / heads.
        intermediate_size: None: 8/3 of hidden_size.
        tied: whether the output matrix is the embedding.
        context: positions that the model may be run with; None: the length of a sequence in training.
    """

    hidden_size: int = 128
    layers: int = 5
    heads: int = 4
    kv_heads: int | None = None
    head_dim: int | None = None
    intermediate_size: int | None = None
    tied: bool = False
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    context: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("hidden_size", "head_dim", "intermediate_size"):
            value = getattr(self, name)
            if value is not None and (value < 32 or value % 32):
                raise ArgumentError(f"{name}: {value} is not a multiple of 32")
        for name in ("layers", "heads"):
            _check_range(name, getattr(self, name), 1, 1024)
        if self.head_dim is None and self.hidden_size % (32 * self.heads):
            raise ArgumentError(
                f"heads: {self.heads} do not divide hidden_size into multiples of 32; set head_dim"
            )
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            raise ArgumentError(f"kv_heads: {self.kv_heads} does not divide heads, {self.heads}")


@dataclass(frozen=True)
class HeadsChoice:
    """The heads, and what their losses weigh.

    Attributes:
        preset: a key of mtp_rt.models.heads.PRESETS, or "anticausal", which trains and evaluates only.
        n: tokens predicted at once, the next one included; 1: ordinary next-token training.
        compute_matched: whether n - 1 layers of the trunk make room for heads that are transformer blocks.
        intermediate_size: of the heads' MLPs; None: the trunk's.
        window: positions that blocks attend back to; None: all.
        weights: rule of the losses of heads 2 .. n; head 1 weighs 1.
        beta: base of the rule of that name.
        warm_up: steps over which heads 2 .. n gain their weight.
        curriculum: whether the number of heads grows or shrinks while training.
        unembedding: "shared": one output matrix for all heads; "own": one for each.
    """

    preset: str = "gloeckle"
    n: int = 4
    compute_matched: bool = True
    intermediate_size: int | None = None
    window: int | None = None
    weights: WeightRule = "uniform"
    beta: float = 0.8
    warm_up: int = 0
    curriculum: Curriculum = "none"
    unembedding: Unembedding = "shared"

    def __post_init__(self) -> None:
        """Check the names and numbers."""
        known = [*PRESETS, "anticausal"]
        if self.preset not in known:
            raise ArgumentError(f"preset: {self.preset!r} is not one of {', '.join(known)}")
        _check_range("n", self.n, 1, MOST_TOKENS)
        _check_range("warm_up", self.warm_up, 0, math.inf)
        if self.preset == "anticausal" and self.curriculum != "none":
            raise ArgumentError("curriculum: an anticausal chain is trained whole; set none")


@dataclass(frozen=True)
class TrainingConfig:
    """How it is trained.

    Attributes:
        sequence: tokens of a sequence.
        batch: sequences of a step.
        accumulate: parts of a step that are computed one after the other.
        final_rate: the last learning rate as a share of the peak.
        weight_decay: of the matrices in layers and heads.
        recompute: keep only the blocks' inputs for the backward pass.
        compile: let PyTorch compile the blocks of the trunk.
        evaluate_every, checkpoint_every: steps between; both also happen at the end.
        evaluate_sequences: of the validation text in each evaluation.
        threads: of PyTorch; 0: as it likes.
        start: a model directory that gives the first weights; None: they are drawn.
    """

    sequence: int = 256
    batch: int = 16
    accumulate: int = 1
    steps: int = 1000
    learning_rate: float = 1e-3
    warm_up: int = 100
    final_rate: float = 0.03
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    recompute: bool = False
    compile: bool = False
    seed: int = 0
    evaluate_every: int = 250
    evaluate_sequences: int = 64
    checkpoint_every: int = 250
    threads: int = 0
    start: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        least_one = "sequence batch accumulate steps evaluate_every evaluate_sequences checkpoint_every"
        for name in least_one.split():
            _check_range(name, getattr(self, name), 1, math.inf)
        for name in ("warm_up", "weight_decay", "seed", "threads"):
            _check_range(name, getattr(self, name), 0, math.inf)
        for name in ("final_rate", "beta1", "beta2"):
            _check_range(name, getattr(self, name), 0, 1)
        for name in ("learning_rate", "clip"):
            _check_range(name, getattr(self, name), 1e-12, 1e12)
        if self.batch % self.accumulate:
            raise ArgumentError(f"accumulate: {self.accumulate} does not divide batch, {self.batch}")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0: a rise, then half a cosine."""
        return learning_rate(
            step,
            min(1.0, step / self.steps),
            peak=self.learning_rate,
            warm_up=self.warm_up,
            final_rate=self.final_rate,
        )


@dataclass(frozen=True)
class ExportConfig:
    """Kinds of the finished model's matrices.

    Attributes:
        layers: of the trunk.
        lm_head: embedding and output matrices, those of single heads too.
        heads: of all else in the heads.
    """

    layers: Kind = "q8"
    lm_head: Kind = "q8"
    heads: Kind = "q8"


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ArgumentError(f"{name}: {value} is outside {least:g} to {most:g}")
