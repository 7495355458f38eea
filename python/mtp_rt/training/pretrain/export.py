"""From a trained model to a model directory that runs: quantised, with its tokenizer and heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mtp_rt.convert.quantize import quantize
from mtp_rt.errors import UnsupportedError
from mtp_rt.model_dir import (
    HeadsConfig,
    Kind,
    ModelConfig,
    is_unembedding,
    layout_of,
    parts_of,
    write_model_dir,
)
from mtp_rt.model_dir import Tensor as StoredTensor
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.training.pretrain.sections import ExportConfig
from mtp_rt.training.pretrain.vocabulary import Vocabulary

MOST_STORED = 15  # heads that a model directory can have (docs/model_dir.md)
_OUTER = ("model.embed_tokens.weight", "lm_head.weight")


def write_model(
    model: MultiTokenModel,
    vocabulary: Vocabulary,
    target: Path,
    kinds: ExportConfig,
    acceptance: tuple[float, ...] | None = None,
) -> None:
    """Write a model directory, replacing what stood there; of more than 15 extra heads it has the first 15.

    Args:
        model: the trained model.
        vocabulary: its tokenizer.
        target: the directory.
        kinds: how its matrices are stored.
        acceptance: how often each draft stands, for config.json.

    Raises:
        UnsupportedError: a model directory cannot hold it (see `MultiTokenModel.why_not_stored`).
        ArgumentError: a weight cannot be stored in its kind.
        OSError: the disk is full or not writable.
    """
    if model.why_not_stored is not None:
        raise UnsupportedError(f"this model trains and evaluates only: {model.why_not_stored}")
    config = model.config
    heads = config.extra_heads
    if heads is not None:
        stored_as = {"heads": kinds.heads}
        if heads.unembedding == "own":
            stored_as["unembed"] = kinds.lm_head
        count = min(heads.count, MOST_STORED)
        heads = replace(heads, count=count, acceptance=acceptance, quantization=stored_as)
    config = replace(config, extra_heads=heads)
    tensors = _tensors(model, config, kinds)
    files = {"tokenizer.json": vocabulary.file.encode()}
    write_model_dir(target, _document(config, heads, kinds, target.parent.name), tensors, files, replace=True)


def _document(
    config: ModelConfig, heads: HeadsConfig | None, kinds: ExportConfig, name: str
) -> dict[str, Any]:
    return {
        "architectures": [config.architecture],
        "model_type": "llama",
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tied_embedding,
        "eos_token_id": list(config.eos),
        "mtp_rt": {
            "format_version": config.format_version,
            "rope_layout": config.rope_layout,
            "heads": None if heads is None else asdict(heads),
            "quantization": {"layers": kinds.layers, "lm_head": kinds.lm_head},
            "source": {"name": name},
        },
    }


def _tensors(model: MultiTokenModel, config: ModelConfig, kinds: ExportConfig) -> Iterator[StoredTensor]:
    weights = {name.removeprefix("trunk."): value for name, value in model.state_dict().items()}
    layout = layout_of(config)
    for name, size in layout.vectors.items():
        yield name, "F32", (size,), weights[name].float().cpu().numpy()
    for name, (rows, cols) in layout.matrices.items():
        kind = _kind(name, kinds)
        parts = quantize(weights[name].float().cpu().numpy(), kind)
        for part, (dtype, shape) in parts_of(name, kind, rows, cols).items():
            yield part, dtype, shape, parts[part.removeprefix(name)]


def _kind(name: str, kinds: ExportConfig) -> Kind:
    if name in _OUTER or is_unembedding(name):
        return kinds.lm_head
    return kinds.heads if name.startswith("heads.") else kinds.layers
