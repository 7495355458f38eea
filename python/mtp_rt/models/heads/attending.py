"""Unrolling heads whose bodies attend, over whole texts at once.

At run time a module's cache holds, for the slot of position p, the key and value of what its first step read
there: true state, true token, RoPE position p. Draft k of that slot asks from position p + k - 1 and sees
those slots up to p, and the slots that its own drafts 2 .. k made on the way. Training does the same for all
slots of a text at once: keys of the first step are shared by every slot behind them, keys of later steps lie
on the diagonal only (arXiv:2503.01840, arXiv:2408.15766).

Modules that are not shared have a cache each, whose slots hold what that module reads when its inputs are
true: plain causal attention over the module's own inputs.

Shape letters: B texts, T slots, K drafts, D hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mtp_rt.models.heads.attend import Pairs, attending_step
from mtp_rt.models.heads.bodies import HeadModule
from mtp_rt.models.heads.extra_heads import ExtraHeads


def unroll_attending(
    heads: ExtraHeads, start_BTD: Tensor, tokens_BTK: Tensor, drafts: int | None = None
) -> list[Tensor]:
    """Return the states s_1 .. s_K of every slot, [B, T, D] each, fed with the true tokens.

    Args:
        heads: heads with `block` bodies.
        start_BTD: s_0 of consecutive slots.
        tokens_BTK: element k - 1 is the token that draft k is made from.
        drafts: how many to make; None: all.
    """
    config = heads.config
    count = tokens_BTK.shape[2] if drafts is None else drafts
    distinct, index_BTK = torch.unique(tokens_BTK, return_inverse=True)
    embedded_UD = heads.embedding[distinct]
    readers = {module: module.reader(embedded_UD) for module in heads.modules_in_use(count)}
    pairs: dict[HeadModule, Pairs] = {module: [] for module in readers}
    positions_T = torch.arange(start_BTD.shape[1], device=start_BTD.device)
    states, state = [], start_BTD
    for draft in range(1, count + 1):
        module = heads.module(draft)
        if not config.shared:
            pairs[module] = []
        read = start_BTD if config.wiring == "parallel" else state
        x_BTD = module.first_product(readers[module], read, index_BTK[:, :, draft - 1])
        state = attending_step(module, x_BTD, positions_T + draft - 1, pairs[module], config.window)
        states.append(state)
    return states
