"""Extra heads: wiring (parallel, chained, sequential) x body (linear, residual, block), named by presets."""

from mtp_rt.models.heads.extra_heads import ExtraHeads
from mtp_rt.models.heads.presets import PRESETS, Preset, heads_config

__all__ = ["PRESETS", "ExtraHeads", "Preset", "heads_config"]
