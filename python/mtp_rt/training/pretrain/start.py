"""The first weights of a run from a model directory, instead of drawn ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import ModelConfig, ModelDir, layout_of, read_model_dir
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.models.weights import read_matrix, read_vector
from mtp_rt.training.pretrain.vocabulary import Vocabulary

# What must be equal for a weight to mean the same; how many positions it was trained for need not.
_SHARED = (
    "hidden_size",
    "intermediate_size",
    "layers",
    "heads",
    "kv_heads",
    "head_dim",
    "vocab_size",
    "rms_norm_eps",
    "rope_theta",
    "rope_layout",
    "tied_embedding",
)
_SHARED_BY_HEADS = (
    "wiring",
    "body",
    "shared",
    "intermediate_size",
    "taps",
    "draft_vocab_size",
    "output_norm",
    "window",
)


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
    weights = _weights(source)
    own = {name.removeprefix("trunk."): value for name, value in model.state_dict().items()}
    for name, value in weights.items():
        if name not in own or own[name].shape != value.shape:
            raise ArgumentError(f"training.start: {path}: has other heads ({name}); set [heads] as they are")
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)  # the state shares the parameters' memory


def _weights(source: ModelDir) -> Mapping[str, Tensor]:
    layout = layout_of(source.config)
    vectors = {name: read_vector(source, name) for name in layout.vectors}
    return vectors | {name: read_matrix(source, name) for name in layout.matrices}


def _check_same(found: ModelConfig, wanted: ModelConfig, path: str | Path) -> None:
    other = [name for name in _SHARED if getattr(found, name) != getattr(wanted, name)]
    if other:
        differences = ", ".join(
            f"{name} {getattr(found, name)!r}, not {getattr(wanted, name)!r}" for name in other
        )
        raise ArgumentError(f"training.start: {path}: is of another architecture: {differences}")
    if found.extra_heads is None:
        return
    if wanted.extra_heads is None or any(
        getattr(found.extra_heads, name) != getattr(wanted.extra_heads, name) for name in _SHARED_BY_HEADS
    ):
        raise ArgumentError(f"training.start: {path}: has other heads; set [heads] as they are")
