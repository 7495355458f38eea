"""States of drafts for a batch of slots, whatever the heads are.

Shape letters: N slots, K drafts, D hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtp_rt.models.heads import ExtraHeads
from mtp_rt.models.heads.attending import unroll_attending
from mtp_rt.training.distill.slots import SlotBatch


def unrolled(
    heads: ExtraHeads, batch: SlotBatch, dtype: torch.dtype, rows: Sequence[int] | None = None
) -> list[Tensor]:
    """Return the states of drafts 1 .. K, each made from the true tokens.

    Args:
        heads: the heads; those that attend need a batch of spans.
        batch: the slots.
        dtype: of the products.
        rows: how many slots, from the first, go on to each draft; None: all. Heads that attend make all.

    Returns:
        For each draft a tensor [slots that go on to it, D].
    """
    device = heads.embedding.device
    states = torch.from_numpy(batch.states_ND).to(device)
    tokens = torch.from_numpy(batch.tokens_NK).to(device)
    read = batch.taps_NLD if heads.config.taps else None  # others may have been recorded beside the states
    taps = None if read is None else torch.from_numpy(read).to(device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        start = heads.start(states, taps)
        if not heads.attends:
            return heads.unroll(start, tokens, rows)
        spans = (-1, batch.span)
        made = unroll_attending(heads, start.unflatten(0, spans), tokens.unflatten(0, spans))
        return [state.flatten(0, 1) for state in made]
