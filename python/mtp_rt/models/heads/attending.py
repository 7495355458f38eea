"""Unrolling heads whose bodies attend, over whole texts at once.

At run time a module's cache holds, for the slot of position p, the key and value of what its first step read
there: true state, true token, RoPE position p. Draft k of that slot asks from position p + k - 1 and sees
those slots up to p, and the slots that its own drafts 2 .. k made on the way. Training does the same for all
slots of a text at once: keys of the first step are shared by every slot behind them, keys of later steps lie
on the diagonal only (arXiv:2503.01840, arXiv:2408.15766).

Modules that are not shared have a cache each, whose slots hold what that module reads when its inputs are
true: plain causal attention over the module's own inputs.

Shape letters: B texts, T slots, K drafts, D hidden, H heads, E dimensions of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mtp_rt.models.heads.bodies import HeadModule
from mtp_rt.models.heads.extra_heads import ExtraHeads


class _Cache:
    """What the drafts of all slots may look at: first-step keys of earlier slots, later keys of their own."""

    def __init__(self, window: int | None) -> None:
        self._window = window
        self._first: tuple[Tensor, Tensor] | None = None
        self._later: list[tuple[Tensor, Tensor]] = []

    def attend(self, query_BHTE: Tensor, key_BHTE: Tensor, value_BHTE: Tensor) -> Tensor:
        """Add a step's keys and values, and return what its queries see: [B, H, T, E]."""
        if self._first is None:
            self._first = key_BHTE, value_BHTE
        else:
            self._later.append((key_BHTE, value_BHTE))
        first_key, first_value = self._first
        scale, slots = query_BHTE.shape[-1] ** -0.5, query_BHTE.shape[2]
        scores = query_BHTE @ first_key.transpose(2, 3) * scale
        scores = scores.masked_fill(~self._visible(slots, query_BHTE.device), -torch.inf)
        own = [(query_BHTE * key).sum(dim=-1, keepdim=True) * scale for key, _ in self._later_seen()]
        shares = torch.cat([scores, *own], dim=-1).float().softmax(dim=-1).to(value_BHTE.dtype)
        mixed = shares[..., :slots] @ first_value
        for step, (_, value) in enumerate(self._later_seen()):
            mixed = mixed + shares[..., slots + step, None] * value
        return mixed

    def _later_seen(self) -> list[tuple[Tensor, Tensor]]:
        return self._later if self._window is None else self._later[-self._window :]

    def _visible(self, slots: int, device: torch.device) -> Tensor:
        """Return which slots each query sees, [T, T]: those up to its own, within the window."""
        ask = torch.arange(slots, device=device)[:, None]
        slot = torch.arange(slots, device=device)[None, :]
        visible = slot <= ask
        if self._window is not None:
            visible &= slot > ask + len(self._later) - self._window
        return visible


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
    caches = {module: _Cache(config.window) for module in readers}
    positions_T = torch.arange(start_BTD.shape[1], device=start_BTD.device)
    states, state = [], start_BTD
    for draft in range(1, count + 1):
        module = heads.module(draft)
        if not config.shared:
            caches[module] = _Cache(config.window)
        read = start_BTD if config.wiring == "parallel" else state
        x_BTD = module.first_product(readers[module], read, index_BTK[:, :, draft - 1])
        state = _block(module, x_BTD, positions_T + draft - 1, caches[module])
        states.append(state)
    return states


def _block(module: HeadModule, x_BTD: Tensor, positions_T: Tensor, cache: _Cache) -> Tensor:
    attention = module.self_attn
    normed = module.input_layernorm(x_BTD)
    mixed = cache.attend(
        attention.queries(normed, positions_T), attention.keys(normed, positions_T), attention.values(normed)
    )
    x_BTD = x_BTD + attention.merge(mixed)
    return module.normed(x_BTD + module.mlp(module.post_attention_layernorm(x_BTD)))
