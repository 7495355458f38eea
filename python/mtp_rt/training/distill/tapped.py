"""Tapped layers as heads learn from them: every value of unit size, fused at first into the trunk's state.

A trunk's inner layers hold values of very different sizes (in SmolLM2 from a tenth to thousands), and one
learning rate does not suit them all. Training divides each by its root mean square; the fuse that leaves
training has these numbers multiplied in, so that nothing else knows of them.

Shape letters: N slots, L tapped layers, D hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mtp_rt.models.heads import ExtraHeads
from mtp_rt.training.distill.slots import SlotBatch

_SMALLEST = 1e-6  # a root mean square below it is noise
_RIDGE = 1e-3  # of the mean square of a scaled value, which is 1


def unit_scale(sample: SlotBatch) -> Tensor:
    """Return what the values of tapped layers [L, D] are multiplied by, from the taps of some slots."""
    assert sample.taps_NLD is not None
    return torch.from_numpy(sample.taps_NLD).square().mean(dim=0).sqrt().clamp(min=_SMALLEST).reciprocal()


@torch.no_grad()
def start_near_state(heads: ExtraHeads, sample: SlotBatch) -> None:
    """Let the fuse make of taps what comes nearest to the trunk's state: ridge regression over some slots.

    Heads pass that state on at first (see `HeadModule`), so training begins where heads without taps do.

    Args:
        heads: heads with taps.
        sample: slots whose taps are scaled already.
    """
    assert sample.taps_NLD is not None
    taps_NC = torch.from_numpy(sample.taps_NLD).flatten(1).double()
    states_ND = torch.from_numpy(sample.states_ND).double()
    gram_CC = taps_NC.T @ taps_NC + _RIDGE * len(taps_NC) * torch.eye(taps_NC.shape[1], dtype=torch.float64)
    heads.fuse.weight.copy_(torch.linalg.solve(gram_CC, taps_NC.T @ states_ND).T)


@torch.no_grad()
def rescale_fuse(heads: ExtraHeads, factor_LD: Tensor) -> None:
    """Multiply what the fuse makes of every tapped value by a factor of its own."""
    heads.fuse.weight.mul_(factor_LD.flatten().to(heads.fuse.weight))
