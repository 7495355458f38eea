"""Paper names as wiring x body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import HeadsConfig, ModelConfig, Unembedding


@dataclass(frozen=True)
class Preset:
    """What a name stands for; sizes that depend on the trunk are worked out by `heads_config`.

    Attributes:
        summary: one line for people.
        wiring: what a head reads.
        body: what it computes.
        shared: one module applied again and again.
        taps: tapped layers as fractions of the trunk's depth.
        output_norm: whether a normed state leaves the head.
    """

    summary: str
    wiring: str
    body: str
    shared: bool = False
    taps: tuple[float, ...] = ()
    output_norm: bool = False


PRESETS = {
    "recurrent": Preset(
        "a shared residual MLP that reads its own state and the token just drafted; no attention",
        "sequential",
        "residual",
        shared=True,
    ),
    "tapped": Preset(
        "recurrent heads that start from three layers of the trunk in place of its state",
        "sequential",
        "residual",
        shared=True,
        taps=(0.4, 0.7, 1.0),
    ),
    "fastmtp": Preset(
        "a shared transformer block over state and token (arXiv:2509.18362)",
        "sequential",
        "block",
        shared=True,
        output_norm=True,
    ),
    "deepseek": Preset(
        "one transformer block for each draft (arXiv:2412.19437)", "sequential", "block", output_norm=True
    ),
    "eagle3": Preset(
        "a shared block that starts from three layers of the trunk (arXiv:2503.01840)",
        "sequential",
        "block",
        shared=True,
        taps=(0.1, 0.5, 0.9),
        output_norm=True,
    ),
    "hydra": Preset(
        "one residual MLP for each draft, each reading the token before it (after arXiv:2402.05109)",
        "sequential",
        "residual",
    ),
    "medusa": Preset(
        "independent residual MLPs on the trunk's state (arXiv:2401.10774)", "parallel", "residual"
    ),
    "gloeckle": Preset(
        "independent transformer blocks on the trunk's state (arXiv:2404.19737)",
        "parallel",
        "block",
        output_norm=True,
    ),
    "gloeckle-linear": Preset(
        "independent matrices on the trunk's state (arXiv:2404.19737, appendix)", "parallel", "linear"
    ),
    "causal": Preset(
        "each block reads the state of the one before it (arXiv:2404.19737, appendix)",
        "chained",
        "block",
        output_norm=True,
    ),
}


def heads_config(
    preset: str,
    trunk: ModelConfig,
    count: int,
    *,
    intermediate_size: int | None = None,
    draft_vocab_size: int | None = None,
    window: int | None = None,
    unembedding: Unembedding = "shared",
    most: int = 15,
) -> HeadsConfig:
    """Return the config of `count` extra heads for a trunk.

    Args:
        preset: a key of PRESETS.
        trunk: the trunk's config.
        count: extra heads, 1 .. `most`.
        intermediate_size: inner size of MLPs; None: the trunk's own.
        draft_vocab_size: tokens that heads score; None: the whole vocabulary.
        window: positions that blocks attend back to; None: all.
        unembedding: "own": each head has an output matrix.
        most: extra heads allowed: 15 can be stored, more can be trained.

    Raises:
        ArgumentError: no such preset, a number out of range, or own output matrices for a shared module.
    """
    if preset not in PRESETS:
        raise ArgumentError(f"preset: {preset!r} is not one of {', '.join(PRESETS)}")
    if not 1 <= count <= most:
        raise ArgumentError(f"heads: {count} is outside 1 to {most}")
    if draft_vocab_size is not None and not (
        32 <= draft_vocab_size <= trunk.vocab_size and draft_vocab_size % 32 == 0
    ):
        raise ArgumentError(
            f"draft_vocab: {draft_vocab_size} is not a multiple of 32 from 32 to the model's vocabulary, "
            f"{trunk.vocab_size}"
        )
    wanted = PRESETS[preset]
    if wanted.shared and unembedding == "own":
        raise ArgumentError(f"unembedding: {preset} has one module, which makes all drafts; set shared")
    inner = None if wanted.body == "linear" else intermediate_size or trunk.intermediate_size
    if inner is not None and (inner % 32 or not 32 <= inner <= 65536):
        raise ArgumentError(f"intermediate_size: {inner} is not a multiple of 32 from 32 to 65,536")
    fields: dict[str, Any] = {
        "preset": preset,
        "count": count,
        "wiring": wanted.wiring,
        "body": wanted.body,
        "shared": wanted.shared,
        "intermediate_size": inner,
        "taps": tuple(sorted({int(part * (trunk.layers - 1)) for part in wanted.taps})),
        "draft_vocab_size": draft_vocab_size,
        "output_norm": wanted.output_norm,
        "window": window if wanted.body == "block" else None,
        "acceptance": None,
        "quantization": None,
        "unembedding": unembedding,
    }
    return HeadsConfig(**fields)
