"""A language model that is trained to predict several tokens at once: a trunk and its extra heads.

The trunk's state itself is scored for one token; every extra head makes a state that is scored for another,
all by the same output matrix, or each by one of its own. With n = 1 this is an ordinary language model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mtp_rt.model_dir import ModelConfig
from mtp_rt.models.heads.modules import HeadModules
from mtp_rt.models.layers import BlockShape
from mtp_rt.models.trunk import Trunk


class MultiTokenModel(nn.Module):
    """Trunk and heads, trained together.

    Args:
        config: the trunk's sizes, and its extra heads.
        anticausal: whether the trunk's state is scored for the token furthest ahead and every further head
            for one nearer, so that the last one predicts the next token (arXiv:2404.19737, appendix). Such a
            model cannot draft: its next token needs the whole chain.
    """

    def __init__(self, config: ModelConfig, *, anticausal: bool = False) -> None:
        super().__init__()
        self.config, self.anticausal = config, anticausal
        self.trunk = Trunk(config)
        extra = config.extra_heads
        self.heads = (
            None
            if extra is None
            else HeadModules(extra, BlockShape.of(config, extra.intermediate_size), config.vocab_size)
        )
        self._start()

    @property
    def n(self) -> int:
        """How many tokens are predicted at once."""
        return 1 if self.heads is None else 1 + self.heads.config.count

    @property
    def chained(self) -> bool:
        """Whether heads read the heads before them."""
        return self.heads is not None and self.heads.config.wiring != "parallel"

    @property
    def embedding(self) -> Tensor:
        """The embedding [vocabulary, D]."""
        weight: Tensor = self.trunk.model.embed_tokens.weight
        return weight

    @property
    def unembedding(self) -> Tensor:
        """The trunk's output matrix [vocabulary, D], which scores all heads that have none of their own."""
        weight: Tensor = self.trunk.lm_head.weight
        return weight

    @property
    def why_not_stored(self) -> str | None:
        """Why a model directory cannot hold this model and its heads; None: it can."""
        if self.anticausal:
            return "an anticausal chain cannot draft: its next token needs the whole chain"
        return None

    def unembedding_of(self, draft: int) -> Tensor:
        """Return the matrix [vocabulary, D] that scores state `draft` (0: the trunk's)."""
        if self.heads is None or draft == 0 or self.heads.config.unembedding == "shared":
            return self.unembedding
        weight: Tensor = self.heads.module(draft).unembed.weight
        return weight

    def offset(self, draft: int) -> int:
        """Return how many tokens ahead state `draft` (0: the trunk's) is scored: 1 is the next token."""
        return self.n - draft if self.anticausal else draft + 1

    def begin(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the trunk's states [B, T, D] and s_0, which heads start from: the same without taps."""
        taps = () if self.heads is None else self.heads.config.taps
        states_BTD, taps_BTLD = self.trunk.states(tokens_BT, taps)
        if self.heads is None or not taps:
            return states_BTD, states_BTD
        return states_BTD, self.heads.start(states_BTD, taps_BTLD)

    def step(self, draft: int, carried: list[Tensor], ahead_BTN: Tensor) -> list[Tensor]:
        """Return what head `draft` makes of what it is handed; see `HeadModules.step`.

        Args:
            draft: 1 .. n - 1.
            carried: s_0, or what the head before returned.
            ahead_BTN: the tokens behind every position.
        """
        assert self.heads is not None
        return self.heads.step(draft, carried, self.embedding, ahead_BTN[:, :, draft - 1])

    @torch.no_grad()
    def _start(self) -> None:
        """Draw the first weights of the trunk; heads pass its state through (see `HeadModule`)."""
        depth = 2 * self.config.layers
        nn.init.normal_(self.embedding, std=0.02)
        own = [self.unembedding_of(draft) for draft in range(1, self.n)]
        for matrix in (self.unembedding, *(matrix for matrix in own if matrix is not self.unembedding)):
            nn.init.normal_(matrix, std=0.02)
        for name, parameter in self.trunk.model.layers.named_parameters():
            if parameter.ndim == 2:
                scale = 1 / math.sqrt(depth) if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
                nn.init.normal_(parameter, std=scale / math.sqrt(parameter.shape[1]))
