"""What heads take from the trunk and keep as it is: embedding, rows of the unembedding, draft vocabulary."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import HeadsConfig, ModelDir, output_matrix
from mtp_rt.models.heads import ExtraHeads
from mtp_rt.models.layers import BlockShape
from mtp_rt.models.weights import read_matrix


def most_frequent(counts: NDArray[np.int64], size: int) -> Tensor:
    """Return the draft vocabulary: the `size` most frequent tokens, ascending.

    Args:
        counts: how often each token of the vocabulary occurs.
        size: how many to take; ties go to the lower id.

    Raises:
        ArgumentError: there are fewer tokens than that.
    """
    if size > len(counts):
        raise ArgumentError(f"draft_vocab: {size} is more than the model's vocabulary, {len(counts)}")
    return torch.from_numpy(np.sort(np.argsort(-counts, kind="stable")[:size]))


def heads_on(model: ModelDir, config: HeadsConfig, draft_ids: Tensor | None) -> ExtraHeads:
    """Return untrained heads that read the embedding and output matrix of `model`."""
    embedding = read_matrix(model, "model.embed_tokens.weight")
    output = output_matrix(model.config)
    unembedding = embedding if output == "model.embed_tokens.weight" else read_matrix(model, output)
    if draft_ids is not None:
        unembedding = unembedding[draft_ids].clone()
    shape = BlockShape.of(model.config, config.intermediate_size)
    return ExtraHeads(config, shape, embedding, unembedding, draft_ids)
