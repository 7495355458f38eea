"""GGUF metadata of a Llama model -> the fields of config.json."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mtp_rt.convert.gguf_file import GgufFile
from mtp_rt.errors import ModelFormatError, UnsupportedError

# Metadata that changes what the model computes, and the values under which it does not.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "rope.scaling.type": ("none",),
    "rope.scale_linear": (1.0, 0.0),
    "expert_count": (0,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "attention.sliding_window": (0,),
    "attention.scale": (0.0,),
    "attention.causal": (True,),
    "logit_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "embedding_scale": (0.0, 1.0),
    "nextn_predict_layers": (0,),
}


def read_config(file: GgufFile) -> dict[str, Any]:
    """Return config.json (without the key "mtp_rt") for a Llama GGUF file.

    Raises:
        UnsupportedError: another architecture, or a variation (RoPE scaling, experts, ...) the engines lack.
        ModelFormatError: a field is missing, of the wrong type, or contradicts another or a tensor's shape.
    """
    fields = _Fields(file)
    architecture = fields.string("general.architecture")
    if architecture != "llama":
        raise UnsupportedError(
            f"{file.path}: general.architecture: {architecture!r} is not supported; supported: 'llama'"
        )
    for key, neutral in _NEUTRAL.items():
        value = file.metadata.get(f"llama.{key}")
        if value is not None and value not in neutral:
            raise UnsupportedError(
                f"{file.path}: llama.{key}: {value!r} is not supported (only {neutral[0]!r} is)"
            )
    hidden = fields.integer("llama.embedding_length", 65_536)
    heads = fields.integer("llama.attention.head_count", 1_024)
    if "llama.attention.key_length" not in file.metadata and hidden % heads:
        raise fields.error("llama.attention.head_count", f"{heads} does not divide the hidden size {hidden}")
    head_dim = fields.integer("llama.attention.key_length", 512, default=hidden // heads)
    for key in ("llama.attention.value_length", "llama.rope.dimension_count"):
        if fields.integer(key, 512, default=head_dim) != head_dim:
            raise UnsupportedError(
                f"{file.path}: {key}: {file.metadata[key]} differs from the key length {head_dim}; "
                "partial rotation and unequal key and value heads are not supported"
            )
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": fields.integer("llama.feed_forward_length", 65_536),
        "num_hidden_layers": fields.integer("llama.block_count", 1_024),
        "num_attention_heads": heads,
        "num_key_value_heads": fields.integer("llama.attention.head_count_kv", 1_024, default=heads),
        "head_dim": head_dim,
        "vocab_size": _vocab_size(fields),
        "max_position_embeddings": fields.integer("llama.context_length", 1_048_576),
        "rms_norm_eps": fields.number("llama.attention.layer_norm_rms_epsilon"),
        "rope_theta": fields.number("llama.rope.freq_base", default=10_000.0),
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "bos_token_id": fields.token_id("bos"),
        "eos_token_id": _stop_ids(fields),
    }


class _Fields:
    """Typed access to the metadata; errors name the file and the key."""

    def __init__(self, file: GgufFile) -> None:
        self.file = file

    def string(self, key: str) -> str:
        value = self._required(key)
        if not isinstance(value, str):
            raise self.error(key, f"is {value!r}, not a string")
        return value

    def integer(self, key: str, limit: int, default: int | None = None) -> int:
        value = self.file.metadata.get(key, default)
        if value is None:
            value = self._required(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(key, f"is {_short(value)}, not one integer")
        if not 1 <= value <= limit:
            raise self.error(key, f"is {value}, outside 1 to {limit}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.file.metadata.get(key, default)
        if value is None:
            value = self._required(key)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
            or value <= 0
        ):
            raise self.error(key, f"is {_short(value)}, not a finite positive number")
        # Most are float32: 1e-5 arrives as 9.99999974e-06. The shortest decimal that rounds to it is meant.
        single = np.float32(value)
        return float(str(single)) if float(single) == value else float(value)

    def token_id(self, role: str) -> int | None:
        key = f"tokenizer.ggml.{role}_token_id"
        value = self.file.metadata.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _vocab_size(self):
            raise self.error(
                key, f"is {_short(value)}, not an id below the vocabulary size {_vocab_size(self)}"
            )
        return value

    def error(self, key: str, problem: str) -> ModelFormatError:
        return ModelFormatError(str(self.file.path), key, problem)

    def _required(self, key: str) -> Any:
        if key not in self.file.metadata:
            raise self.error(key, "is missing from the metadata")
        return self.file.metadata[key]


def _vocab_size(fields: _Fields) -> int:
    """Return the embedding's row count, which is what ids index; the metadata may only repeat it."""
    embedding = fields.file.tensors.get("token_embd.weight")
    if embedding is None:
        raise fields.error("token_embd.weight", "is missing from the tensors")
    rows = embedding.shape[0]
    declared = fields.integer("llama.vocab_size", 1_048_576, default=rows)
    if declared != rows:
        raise fields.error("llama.vocab_size", f"is {declared}, but token_embd.weight has {rows} rows")
    return rows


def _stop_ids(fields: _Fields) -> int | list[int] | None:
    """Return the ids that end generation: end of text, end of turn, end of message."""
    found = [fields.token_id(role) for role in ("eos", "eot", "eom")]
    ids = list(dict.fromkeys(token for token in found if token is not None))
    if not ids:
        return None
    return ids[0] if len(ids) == 1 else ids


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
