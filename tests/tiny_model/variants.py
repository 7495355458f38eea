"""Models that differ from the tiny one in one respect each; written when a test first asks for one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.convert.quantize import dequantize
from mtp_rt.model_dir import Kind, ModelDir, layout_of, parse_model_config, parts_of, read_model_dir
from tiny_model.store import deinterleave, write_llama

_NUMPY = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I8": np.int8, "U8": np.uint8}


@dataclass(frozen=True)
class Variant:
    """How a variant is stored, and `shape`: fields of config.json that differ.

    Where the tiny model's tensors do not fit such a shape, weights are drawn at random (seeded).
    """

    layers: Kind = "q4"
    lm_head: Kind = "q8"
    rope_layout: str = "interleaved"
    margin: float | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)


VARIANTS: Mapping[str, Variant] = {
    "f32": Variant("f32", "f32"),
    "bf16": Variant("bf16", "bf16"),
    "q8": Variant("q8", "q8"),
    "one_stage": Variant(),
    "q4_head": Variant(lm_head="q4"),
    "half_rope": Variant(rope_layout="half", margin=3.0),
    "half_rope_f32": Variant("f32", "f32", rope_layout="half"),
    "untied": Variant(margin=3.0, shape={"tie_word_embeddings": False}),
    "odd_vocabulary": Variant(margin=3.0, shape={"vocab_size": 515}),
    "odd_vocabulary_q4": Variant(lm_head="q4", shape={"vocab_size": 515}),
    "odd_vocabulary_f32": Variant("f32", "f32", shape={"vocab_size": 515}),
    "head_dim_64": Variant(
        margin=3.0, shape={"head_dim": 64, "num_attention_heads": 3, "num_key_value_heads": 1}
    ),
    "ungrouped": Variant("q8", "bf16", shape={"num_key_value_heads": 4, "hidden_size": 128}),
    "narrow": Variant(
        margin=3.0,
        shape={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_attention_heads": 1,
            "num_key_value_heads": 1,
            "num_hidden_layers": 1,
            "vocab_size": 33,
        },
    ),
}


def write_variant(name: str, tiny: Path, target: Path) -> None:
    """Write variant `name` of the model directory `tiny` to `target`."""
    variant = VARIANTS[name]
    config = json.loads((tiny / "config.json").read_text(encoding="utf-8"))
    config = {key: value for key, value in config.items() if key != "mtp_rt"} | variant.shape
    weights = _random_weights(config, name) if variant.shape else stored_values(read_model_dir(tiny))
    if variant.rope_layout == "half":
        weights = {
            name: deinterleave(values, config["head_dim"])
            if ".q_proj." in name or ".k_proj." in name
            else values
            for name, values in weights.items()
        }
    write_llama(
        target,
        config,
        weights,
        layers=variant.layers,
        lm_head=variant.lm_head,
        rope_layout=variant.rope_layout,
        margin=variant.margin,
    )


def stored_values(model: ModelDir) -> dict[str, NDArray[np.float32]]:
    """Return every weight of a model as float32, under its Hugging Face name."""
    layout = layout_of(model.config)
    values = {}
    for name, (rows, cols) in layout.matrices.items():
        kind = model.kinds[name]
        parts = {
            part.removeprefix(name): np.frombuffer(model.tensor(part), _NUMPY[dtype]).reshape(shape)
            for part, (dtype, shape) in parts_of(name, kind, rows, cols).items()
        }
        values[name] = dequantize(parts, kind)
    return values | {name: np.frombuffer(model.tensor(name), np.float32) for name in layout.vectors}


def _random_weights(config: Mapping[str, Any], seed_text: str) -> dict[str, NDArray[np.float32]]:
    """Return weights whose activations stay near unit size; the output is steep enough for clear choices."""
    text = json.dumps({**config, "mtp_rt": {"format_version": 1, "rope_layout": "half"}})
    layout = layout_of(parse_model_config(text.encode()))
    rng = np.random.default_rng(list(seed_text.encode()))
    values = {}
    for name, (rows, cols) in layout.matrices.items():
        spread = 0.3 if name in {"model.embed_tokens.weight", "lm_head.weight"} else cols**-0.5
        values[name] = (rng.standard_normal((rows, cols)) * spread).astype(np.float32)
    for name, size in layout.vectors.items():
        values[name] = (1 + 0.2 * rng.standard_normal(size)).astype(np.float32)
    return values
