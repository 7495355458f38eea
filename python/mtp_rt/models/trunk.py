"""The trunk in PyTorch: a Llama-architecture model whose state feeds the heads.

Shape letters: B texts, T positions, D hidden, L tapped layers, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mtp_rt.model_dir import ModelConfig
from mtp_rt.models.layers import Block, BlockShape, RMSNorm


class TrunkOutputs(NamedTuple):
    """What the trunk makes of texts.

    Attributes:
        logits_BTV: the main head's logits.
        states_BTD: the state after the final norm, which heads read.
        taps_BTLD: outputs of the layers asked for.
    """

    logits_BTV: Tensor
    states_BTD: Tensor
    taps_BTLD: Tensor


class _Body(nn.Module):
    """Everything below the output matrix."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(BlockShape.of(config)) for _ in range(config.layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Trunk(nn.Module):
    """Embedding, blocks, final norm, output matrix; parameters have the names of docs/model_dir.md.

    Args:
        config: the sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False  # keep only the blocks' inputs for the backward pass
        self.model = _Body(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tied_embedding:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens_BT: Tensor, taps: tuple[int, ...] = ()) -> TrunkOutputs:
        """Return logits, states and tapped layers of texts that start at position 0.

        Args:
            tokens_BT: token ids.
            taps: layers whose outputs are wanted; 0 is the first.
        """
        states_BTD, taps_BTLD = self.states(tokens_BT, taps)
        return TrunkOutputs(self.lm_head(states_BTD), states_BTD, taps_BTLD)

    def compile_blocks(self) -> None:
        """Let PyTorch compile the blocks, all with one result; parameters keep their names."""
        for block in self.model.layers:
            block.compile()

    def states(self, tokens_BT: Tensor, taps: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """Return states [B, T, D] and tapped layers [B, T, L, D], without logits."""
        positions_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        x_BTD = self.model.embed_tokens(tokens_BT)
        tapped = []
        for number, block in enumerate(self.model.layers):
            if self.recompute and torch.is_grad_enabled():
                x_BTD = checkpoint(block, x_BTD, positions_T, use_reentrant=False)
            else:
                x_BTD = block(x_BTD, positions_T)
            if number in taps:
                tapped.append(x_BTD)
        states_BTD = self.model.norm(x_BTD)
        none = x_BTD.new_empty((*x_BTD.shape[:2], 0, x_BTD.shape[2]))
        return states_BTD, torch.stack(tapped, dim=2) if tapped else none
