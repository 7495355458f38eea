"""The model as it runs: written to its directory, its drafts counted in the native engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.training.distill.native_acceptance import measure_native_texts
from mtp_rt.training.pretrain.config import TrainConfig
from mtp_rt.training.pretrain.export import write_model
from mtp_rt.training.pretrain.packing import Packed
from mtp_rt.training.pretrain.vocabulary import Vocabulary

_POSITIONS = 4096  # of the validation text at which the model drafts
_PROMPT = 16  # tokens of a text that come before its first draft


def write_and_measure(
    model: MultiTokenModel, vocabulary: Vocabulary, text: Packed, config: TrainConfig, target: Path
) -> float | None:
    """Write a model directory, replacing what stood there; return the tokens per step of its drafts.

    Args:
        model: the model.
        vocabulary: its tokenizer.
        text: held-out text, through which greedy decoding steps; config.json gets to know how often each
            draft stands there.
        config: the settings of its training.
        target: the directory.

    Returns:
        1 and the drafts that stand, on average over the steps; None without heads.
    """
    write_model(model, vocabulary, target, config.export)
    if model.heads is None:
        return None
    texts = _texts(text, config.training.sequence)
    acceptance = measure_native_texts(target, texts, config.training.threads)
    alpha = tuple(round(chance, 4) for chance in acceptance.alpha)
    write_model(model, vocabulary, target, config.export, alpha)
    return acceptance.walked


def _texts(text: Packed, sequence: int) -> list[tuple[list[int], int]]:
    """Return sequences of a text, and where drafts begin in each."""
    begins, first = text.begins(sequence), max(1, min(_PROMPT, sequence // 4))
    wanted = min(len(begins), max(1, _POSITIONS // sequence))
    chosen = begins[np.linspace(0, len(begins) - 1, wanted).astype(np.int64)]
    return [(text.tokens[begin : begin + sequence].tolist(), first) for begin in chosen]
