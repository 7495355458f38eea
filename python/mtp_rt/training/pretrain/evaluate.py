"""How well each head predicts held-out text."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from mtp_rt.models.head_by_head import score_heads
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.training.pretrain.packing import Packed

_TOKENS = 8192  # scored at a time


@dataclass(frozen=True)
class Evaluation:
    """What the heads are worth, by how many tokens ahead they look.

    Attributes:
        losses: mean cross-entropies in nats per token; [n].
        accuracy: share of tokens that are the likeliest one; [n].
        bits_per_byte: the losses in bits per byte of text; [n].
    """

    losses: tuple[float, ...]
    accuracy: tuple[float, ...]
    bits_per_byte: tuple[float, ...]


def evaluate(
    model: MultiTokenModel, text: Packed, sequence: int, sequences: int, dtype: torch.dtype
) -> Evaluation:
    """Return the evaluation of some sequences, spread evenly over a text.

    Args:
        model: the model.
        text: what is predicted.
        sequence: length of a sequence.
        sequences: how many; all where there are fewer.
        dtype: of the matrix products.
    """
    begins = text.begins(sequence)
    begins = begins[np.linspace(0, len(begins) - 1, min(sequences, len(begins))).astype(np.int64)]
    losses = torch.zeros(model.n, dtype=torch.float64)
    right, counts = torch.zeros(model.n, dtype=torch.int64), torch.zeros(model.n, dtype=torch.int64)
    device, size = model.embedding.device, max(1, _TOKENS // sequence)
    for at in range(0, len(begins), size):
        batch = text.batch(begins[at : at + size], sequence, model.n).to(device)
        scores = score_heads(model, batch, dtype)
        losses += torch.stack([part.losses_N.double().sum() for part in scores]).cpu()
        right += torch.stack([part.right_N.sum() for part in scores]).cpu()
        counts += batch.counts().cpu()
    means = (losses / counts).tolist()
    tokens_per_byte = len(text.tokens) / max(1, text.bytes)
    return Evaluation(
        tuple(means),
        tuple((right / counts).tolist()),
        tuple(mean / math.log(2) * tokens_per_byte for mean in means),
    )
