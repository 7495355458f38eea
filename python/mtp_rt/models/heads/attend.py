"""One step of a head's block: its queries over keys of first steps and of its slots' own drafts.

Shape letters: B texts, T slots, D hidden, H heads, E dimensions of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mtp_rt.models.heads.bodies import HeadModule
from mtp_rt.models.layers import at_least_float32

Pairs = list[tuple[Tensor, Tensor]]  # keys and values [B, H, T, E]: of first steps, then of the slots' own


def attend(query_BHTE: Tensor, pairs: Pairs, window: int | None) -> Tensor:
    """Return what queries see: keys of the first step up to their own slot, later keys on the diagonal.

    Args:
        query_BHTE: queries of the step whose pair is the last.
        pairs: keys and values of every step so far.
        window: how many places a query sees; None: all.
    """
    (first_key, first_value), *later = pairs
    seen = later if window is None else later[-window:]
    scale, slots = query_BHTE.shape[-1] ** -0.5, query_BHTE.shape[2]
    scores = query_BHTE @ first_key.transpose(2, 3) * scale
    scores = scores.masked_fill(~_visible(slots, len(later), window, query_BHTE.device), -torch.inf)
    own = [(query_BHTE * key).sum(dim=-1, keepdim=True) * scale for key, _ in seen]
    shares = at_least_float32(torch.cat([scores, *own], dim=-1)).softmax(dim=-1).to(first_value.dtype)
    mixed = shares[..., :slots] @ first_value
    for step, (_, value) in enumerate(seen):
        mixed = mixed + shares[..., slots + step, None] * value
    return mixed


def _visible(slots: int, later: int, window: int | None, device: torch.device) -> Tensor:
    """Return which slots each query sees, [T, T]: those up to its own, within the window."""
    ask = torch.arange(slots, device=device)[:, None]
    slot = torch.arange(slots, device=device)[None, :]
    visible = slot <= ask
    if window is not None:
        visible &= slot > ask + later - window
    return visible


def attending_step(
    module: HeadModule, x_BTD: Tensor, positions_T: Tensor, pairs: Pairs, window: int | None
) -> Tensor:
    """Return the state [B, T, D] of a block that reads x; its keys and values join `pairs`."""
    attention = module.self_attn
    normed = module.input_layernorm(x_BTD)
    query = attention.queries(normed, positions_T)
    pairs.append((attention.keys(normed, positions_T), attention.values(normed)))
    x_BTD = x_BTD + attention.merge(attend(query, pairs, window))
    return module.normed(x_BTD + module.mlp(module.post_attention_layernorm(x_BTD)))
