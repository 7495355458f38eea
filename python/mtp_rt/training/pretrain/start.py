"""The first weights of a run from a model directory, instead of drawn ones."""

from __future__ import annotations

from pathlib import Path

import torch

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import ModelConfig, read_model_dir
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.models.weights import read_weights
from mtp_rt.training.differences import differences
from mtp_rt.training.pretrain.vocabulary import Vocabulary

# What may differ where weights mean the same; every other field must be equal, those to come as well.
_FREE = {
    "format_version",
    "context",
    "bos",
    "eos",
    "two_stage_margin",
    "extra_heads",
    "quantization",
    "source",
}
_FREE_OF_HEADS = {"preset", "count", "acceptance", "quantization"}  # the weights show how many there are


def start_from(path: str | Path, model: MultiTokenModel, vocabulary: Vocabulary) -> None:
    """Give `model` the weights of a model directory, dequantised; heads that it lacks keep what they have.

    Raises:
        ArgumentError: the directory is of another architecture, has other heads or another tokenizer, or a
            model directory cannot hold such a model.
        ModelFormatError, UnsupportedError: see `read_model_dir`.
    """
    if model.why_not_stored is not None:
        raise ArgumentError(f"training.start: {path}: cannot be of this model: {model.why_not_stored}")
    source = read_model_dir(path)
    _check_same(source.config, model.config, path)
    tokenizer = source.path / "tokenizer.json"
    if not tokenizer.is_file() or tokenizer.read_bytes() != vocabulary.file.encode():
        raise ArgumentError(f"training.start: {path}: has another tokenizer; name its own in data.tokenizer")
    weights = read_weights(source)
    own = {name.removeprefix("trunk."): value for name, value in model.state_dict().items()}
    for name, value in weights.items():
        if name not in own or own[name].shape != value.shape:
            raise ArgumentError(f"training.start: {path}: has other heads ({name}); set [heads] as they are")
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)  # the state shares the parameters' memory


def _check_same(found: ModelConfig, wanted: ModelConfig, path: str | Path) -> None:
    if other := differences(found, wanted, _FREE):
        raise ArgumentError(f"training.start: {path}: is of another architecture: {other}")
    if found.extra_heads is None:
        return
    if wanted.extra_heads is None or differences(found.extra_heads, wanted.extra_heads, _FREE_OF_HEADS):
        raise ArgumentError(f"training.start: {path}: has other heads; set [heads] as they are")
