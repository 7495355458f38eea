"""config.json of a model directory, checked. docs/model_dir.md is the specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from mtp_rt.errors import UnsupportedError
from mtp_rt.model_dir.heads import HeadsConfig, read_heads
from mtp_rt.model_dir.json_text import JsonFields, describe, is_integer, parse_json_object, printable

CONFIG_FILE = "config.json"
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelConfig:
    """What config.json says: the fields of mtp_rt/model_config.h, and the two that only inform."""

    format_version: int
    architecture: str
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    context: int
    rms_norm_eps: float
    rope_theta: float
    rope_layout: Literal["interleaved", "half"]
    tied_embedding: bool
    bos: int | None
    eos: tuple[int, ...]
    two_stage_margin: float | None
    extra_heads: HeadsConfig | None
    quantization: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)


def parse_model_config(text: bytes, file: str = CONFIG_FILE) -> ModelConfig:
    """Return the config that the text of a config.json holds.

    Raises:
        ModelFormatError: a missing, mistyped, out-of-range or inconsistent field.
        UnsupportedError: an architecture or feature that no engine has.
    """
    fields = JsonFields(parse_json_object(text, file, ""), file)
    architecture = _architecture(fields)
    own = fields.object("mtp_rt")
    version = own.integer("format_version", 1, 1 << 30)
    if version != 1:
        _unsupported(own, "format_version", f"version {version} is newer than this mtp-rt; update it")
    own.allow_only(("format_version", "rope_layout", "two_stage_head", "heads", "quantization", "source"))
    sizes = _sizes(fields)
    _refuse_other_features(fields)
    return ModelConfig(
        format_version=version,
        architecture=architecture,
        **sizes,
        tied_embedding=fields.boolean("tie_word_embeddings", False),
        **_special_tokens(fields, sizes["vocab_size"]),
        **_own_fields(own),
        extra_heads=_extra_heads(own, sizes),
    )


def _unsupported(fields: JsonFields, key: str, problem: str) -> NoReturn:
    raise UnsupportedError(f"{fields.file}: {fields.full_name(key)}: {problem}")


def _architecture(fields: JsonFields) -> str:
    names = fields.get("architectures")
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        fields.fail("architectures", f"is {describe(names)}; expected a list that holds one name")
    if names[0] != "LlamaForCausalLM":
        _unsupported(
            fields, "architectures", f"{describe(names[0])} is not supported; supported: LlamaForCausalLM"
        )
    if (kind := fields.string("model_type")) != "llama":
        _unsupported(fields, "model_type", f"{describe(kind)} is not supported; supported: llama")
    return names[0]


def _sizes(fields: JsonFields) -> dict[str, Any]:
    hidden_size = fields.blocks_of_32("hidden_size", 32, 65536)
    intermediate_size = fields.blocks_of_32("intermediate_size", 32, 65536)
    layers = fields.integer("num_hidden_layers", 1, 1024)
    heads = fields.integer("num_attention_heads", 1, 1024)
    kv_heads = fields.integer("num_key_value_heads", 1, heads, heads)
    if heads % kv_heads != 0:
        fields.fail(
            "num_key_value_heads", f"is {kv_heads}; expected a divisor of num_attention_heads, {heads}"
        )
    if fields.find("head_dim") is not None:
        head_dim = fields.blocks_of_32("head_dim", 32, 512)
    else:
        head_dim = hidden_size // heads
        if hidden_size % heads != 0 or head_dim % 32 != 0 or not 32 <= head_dim <= 512:
            fields.fail(
                "head_dim",
                "is missing, and hidden_size / num_attention_heads is not a multiple of 32 from 32 to 512",
            )
    return {
        "hidden_size": hidden_size,
        "intermediate_size": intermediate_size,
        "layers": layers,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": fields.integer("vocab_size", 2, 1048576),
        "context": fields.integer("max_position_embeddings", 1, 1048576),
        "rms_norm_eps": fields.number("rms_norm_eps", 1e-12, 0.1, 1e-6),
        "rope_theta": fields.number("rope_theta", 1.0, 1e12, 10000.0),
    }


def _refuse_other_features(fields: JsonFields) -> None:
    if fields.find("rope_scaling") is not None:
        _unsupported(fields, "rope_scaling", "scaled rotary embeddings are not supported; supported: null")
    activation = fields.find("hidden_act")
    if activation is not None and activation != "silu":
        _unsupported(fields, "hidden_act", f"{describe(activation)} is not supported; supported: silu")
    for key in ("attention_bias", "mlp_bias"):
        if fields.boolean(key, False):
            _unsupported(fields, key, "biases are not supported; supported: false")


def _token(fields: JsonFields, key: str, value: Any, vocab_size: int) -> int:
    if not is_integer(value, 0, vocab_size - 1):
        fields.fail(key, f"holds {describe(value)}; expected a token id below vocab_size, {vocab_size}")
    return int(value)


def _special_tokens(fields: JsonFields, vocab_size: int) -> dict[str, Any]:
    bos = fields.find("bos_token_id")
    eos = fields.find("eos_token_id")
    tokens: dict[str, Any] = {"bos": None if bos is None else _token(fields, "bos_token_id", bos, vocab_size)}
    if eos is None:
        eos = []
    elif not isinstance(eos, list):
        eos = [eos]
    elif not 1 <= len(eos) <= 64:
        fields.fail("eos_token_id", f"lists {len(eos)} ids; expected 1 to 64")
    tokens["eos"] = tuple(_token(fields, "eos_token_id", token, vocab_size) for token in eos)
    return tokens


def _own_fields(own: JsonFields) -> dict[str, Any]:
    rope_layout = own.string("rope_layout")
    if rope_layout not in {"interleaved", "half"}:
        own.fail("rope_layout", f'is "{printable(rope_layout)}"; expected interleaved or half')
    margin = None
    if own.find("two_stage_head") is not None:
        head = own.object("two_stage_head")
        head.allow_only(("margin",))
        margin = head.number("margin", 1e-3, 100.0)
    return {
        "rope_layout": rope_layout,
        "two_stage_margin": margin,
        "quantization": _quantization(own),
        "source": _source(own),
    }


def _extra_heads(own: JsonFields, sizes: Mapping[str, int]) -> HeadsConfig | None:
    if own.find("heads") is None:
        return None
    return read_heads(own.object("heads"), layers=sizes["layers"], vocab_size=sizes["vocab_size"])


def _quantization(own: JsonFields) -> dict[str, str]:
    if own.find("quantization") is None:
        return {}
    kinds = own.object("quantization")
    kinds.allow_only(("layers", "lm_head"))
    quantization = {}
    for key in ("layers", "lm_head"):
        if kinds.find(key) is not None:
            quantization[key] = kinds.kind(key)
    return quantization


def _source(own: JsonFields) -> dict[str, str]:
    if own.find("source") is None:
        return {}
    source = own.object("source")
    keys = ("name", "file", "sha256", "license")
    source.allow_only(keys)
    return {key: source.string(key) for key in keys if source.find(key) is not None}
