"""What `mtp-rt train` is asked to do, and the model that this describes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import HeadsConfig, ModelConfig
from mtp_rt.models.heads import PRESETS, heads_config
from mtp_rt.training.pretrain.curriculum import HeadSchedule
from mtp_rt.training.pretrain.sections import (
    MOST_TOKENS,
    DataConfig,
    ExportConfig,
    HeadsChoice,
    SizeConfig,
    TrainingConfig,
)


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run."""

    data: DataConfig
    model: SizeConfig = field(default_factory=SizeConfig)
    heads: HeadsChoice = field(default_factory=HeadsChoice)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    export: ExportConfig = field(default_factory=ExportConfig)

    def __post_init__(self) -> None:
        """Check what fits together."""
        if self.heads.n >= self.training.sequence:
            raise ArgumentError(
                f"heads.n: {self.heads.n} tokens ahead do not fit a sequence of {self.training.sequence}; "
                "set fewer, or a longer training.sequence"
            )
        if self._trunk_layers() < 1:
            raise ArgumentError(
                f"model.layers: {self.model.layers} are not enough for {self.heads.n - 1} heads that take a "
                "layer each; set more, or heads.compute_matched = false"
            )

    def schedule(self) -> HeadSchedule:
        """Return the weights of the heads, step by step."""
        choice = self.heads
        return HeadSchedule(
            choice.n, self.training.steps, choice.curriculum, choice.weights, choice.beta, choice.warm_up
        )

    def model_config(self, vocab_size: int, end: int) -> ModelConfig:
        """Return the model's description for a vocabulary whose documents end with token `end`."""
        size = self.model
        fields: dict[str, Any] = {
            "format_version": 1,
            "architecture": "LlamaForCausalLM",
            "hidden_size": size.hidden_size,
            "intermediate_size": size.intermediate_size or -(-size.hidden_size * 8 // 96) * 32,
            "layers": self._trunk_layers(),
            "heads": size.heads,
            "kv_heads": size.kv_heads or size.heads,
            "head_dim": size.head_dim or size.hidden_size // size.heads,
            "vocab_size": vocab_size,
            "context": size.context or self.training.sequence,
            "rms_norm_eps": size.rms_norm_eps,
            "rope_theta": size.rope_theta,
            "rope_layout": "half",
            "tied_embedding": size.tied,
            "bos": None,
            "eos": (end,),
            "two_stage_margin": None,
        }
        trunk = ModelConfig(**fields, extra_heads=None)
        return ModelConfig(**fields, extra_heads=self._extra_heads(trunk))

    def kept_graphs(self) -> int:
        """Return of how many heads the graphs are kept: three blocks of a chain take the memory of layers."""
        chained = PRESETS[self._wired_as()].wiring == "chained"
        return 3 if chained and self._matched() and not self.training.recompute else 0

    def _extra_heads(self, trunk: ModelConfig) -> HeadsConfig | None:
        choice = self.heads
        if choice.n == 1:
            return None
        return heads_config(
            self._wired_as(),
            trunk,
            choice.n - 1,
            intermediate_size=choice.intermediate_size,
            window=choice.window,
            unembedding=choice.unembedding,
            most=MOST_TOKENS - 1,
        )

    def _wired_as(self) -> str:
        """Return the preset: an anticausal chain is a causal one whose states are scored in reverse."""
        return "causal" if self.heads.preset == "anticausal" else self.heads.preset

    def _trunk_layers(self) -> int:
        return self.model.layers - (self.heads.n - 1 if self._matched() else 0)

    def _matched(self) -> bool:
        return self.heads.compute_matched and PRESETS[self._wired_as()].body == "block"
