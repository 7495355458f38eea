"""The modules of extra heads by number, whatever is around them.

Shape letters: N slots, B texts, T their slots, D hidden, L tapped layers, H heads, E dimensions of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtp_rt.model_dir import HeadsConfig
from mtp_rt.models.heads.attend import Pairs, attending_step
from mtp_rt.models.heads.bodies import HeadModule
from mtp_rt.models.layers import BlockShape, SwiGLU, at_least_float32


class HeadModules(nn.Module):
    """Modules by number and the fuse of tapped layers, named as docs/model_dir.md says.

    Args:
        config: wiring, body and sizes.
        shape: the trunk's block, with the inner size of the heads.
        vocab_size: rows of output matrices of their own, where they have such over all tokens.
    """

    def __init__(self, config: HeadsConfig, shape: BlockShape, vocab_size: int = 0) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        for module in range(1 if config.shared else config.count):
            self.add_module(str(module), HeadModule(config, shape, vocab_size))
        if config.taps:
            self.fuse = nn.Linear(len(config.taps) * shape.hidden_size, shape.hidden_size, bias=False)

    def module(self, draft: int) -> HeadModule:
        """Return the module of draft 1 .. count."""
        found = self.get_submodule("0" if self.config.shared else str(draft - 1))
        assert isinstance(found, HeadModule)
        return found

    @property
    def attends(self) -> bool:
        """Whether drafts of a slot depend on the slots before it."""
        return self.config.body == "block"

    def set_dropout(self, share: float) -> None:
        """Let training hide this share of the inner values of every MLP."""
        for module in self.modules():
            if isinstance(module, SwiGLU):
                module.dropout = share

    def modules_in_use(self, drafts: int) -> set[HeadModule]:
        """Return the modules that make this many drafts."""
        return {self.module(draft) for draft in range(1, drafts + 1)}

    def start(self, states_ND: Tensor, taps_NLD: Tensor | None = None) -> Tensor:
        """Return s_0 [..., D]: the trunk state, or the fused taps."""
        return states_ND if taps_NLD is None else at_least_float32(self.fuse(taps_NLD.flatten(-2)))

    def step(
        self, draft: int, carried: list[Tensor], embedding_VD: Tensor, tokens_BT: Tensor
    ) -> list[Tensor]:
        """Return what head `draft` makes of what it is handed: its state, and what the next head needs.

        Heads one at a time give the states of `unroll` and `unroll_attending`; in between, a caller may cut
        the graph.

        Args:
            draft: 1 .. count.
            carried: s_0 where heads are parallel or this is the first; else what the head before returned.
            embedding_VD: the trunk's embedding.
            tokens_BT: the tokens that this draft is made from; read by sequential heads only.

        Returns:
            The state [B, T, D]; behind it, of a shared block, keys and values [B, H, T, E] of every step.
        """
        module, (state, *cache) = self.module(draft), carried
        if self.config.wiring == "sequential":
            distinct, index_BT = torch.unique(tokens_BT, return_inverse=True)
            reader = module.reader(embedding_VD[distinct])
        else:
            reader, index_BT = module.reader(embedding_VD[:0]), tokens_BT
        product = module.first_product(reader, state, index_BT)
        if not self.attends:
            return [module.finish(product, state)]
        positions_T = torch.arange(state.shape[1], device=state.device) + draft - 1
        if not self.config.shared and self.config.window is None:
            product = product + module.self_attn(module.input_layernorm(product), positions_T)
            return [module.normed(product + module.mlp(module.post_attention_layernorm(product)))]
        pairs: Pairs = list(zip(cache[::2], cache[1::2], strict=True))
        made = attending_step(module, product, positions_T, pairs, self.config.window)
        return [made, *(tensor for pair in pairs for tensor in pair)] if self.config.shared else [made]
