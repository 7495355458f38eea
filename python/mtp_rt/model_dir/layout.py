"""Which tensors a model has, and whether a file holds exactly those."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir.config import ModelConfig
from mtp_rt.model_dir.heads import HeadsConfig
from mtp_rt.model_dir.safetensors import WEIGHTS_FILE, StoredTensor

Kind = Literal["f32", "bf16", "q8", "q4"]
BLOCK = 32


@dataclass(frozen=True)
class Layout:
    """Every weight of a model.

    Attributes:
        matrices: [rows, cols] by name.
        vectors: size by name.
        ids: lists of strictly ascending token ids by name: their size, and what each id is below.
    """

    matrices: dict[str, tuple[int, int]] = field(default_factory=dict)
    vectors: dict[str, int] = field(default_factory=dict)
    ids: dict[str, tuple[int, int]] = field(default_factory=dict)


def layout_of(config: ModelConfig) -> Layout:
    """Return every weight of a model with this config, embedding first."""
    hidden = config.hidden_size
    layout = Layout()
    layout.matrices["model.embed_tokens.weight"] = (config.vocab_size, hidden)
    if not config.tied_embedding:
        layout.matrices["lm_head.weight"] = (config.vocab_size, hidden)
    for i in range(config.layers):
        _add_block(layout, f"model.layers.{i}", config, config.intermediate_size)
    layout.vectors["model.norm.weight"] = hidden
    heads = heads_layout_of(config)
    layout.matrices.update(heads.matrices)
    layout.vectors.update(heads.vectors)
    layout.ids.update(heads.ids)
    return layout


def heads_layout_of(config: ModelConfig) -> Layout:
    """Return the weights of the extra heads of a model with this config: none where it has no heads."""
    layout = Layout()
    heads, hidden = config.extra_heads, config.hidden_size
    if heads is None:
        return layout
    if heads.taps:
        layout.matrices["heads.fuse.weight"] = (hidden, len(heads.taps) * hidden)
    for m in range(heads.modules):
        _add_module(layout, f"heads.{m}", config, heads)
    if heads.draft_vocab_size is not None:
        if heads.unembedding == "shared":
            layout.matrices["heads.unembed.weight"] = (heads.draft_vocab_size, hidden)
        layout.ids["heads.draft_ids"] = (heads.draft_vocab_size, config.vocab_size)
    return layout


def _add_module(layout: Layout, prefix: str, config: ModelConfig, heads: HeadsConfig) -> None:
    hidden, inner = config.hidden_size, heads.intermediate_size or 0
    inputs = hidden
    if heads.wiring == "sequential":
        inputs = 2 * hidden
        layout.vectors[f"{prefix}.state_norm.weight"] = hidden
        layout.vectors[f"{prefix}.embed_norm.weight"] = hidden
    if heads.body == "linear":
        layout.matrices[f"{prefix}.linear.weight"] = (hidden, inputs)
    elif heads.body == "residual":
        layout.matrices[f"{prefix}.mlp.gate_proj.weight"] = (inner, inputs)
        layout.matrices[f"{prefix}.mlp.up_proj.weight"] = (inner, inputs)
        layout.matrices[f"{prefix}.mlp.down_proj.weight"] = (hidden, inner)
    else:
        if heads.wiring == "sequential":
            layout.matrices[f"{prefix}.input_proj.weight"] = (hidden, inputs)
        _add_block(layout, prefix, config, inner)
    if heads.output_norm:
        layout.vectors[f"{prefix}.norm.weight"] = hidden
    if heads.unembedding == "own":
        layout.matrices[f"{prefix}.unembed.weight"] = (heads.draft_vocab_size or config.vocab_size, hidden)


def _add_block(layout: Layout, prefix: str, config: ModelConfig, inner: int) -> None:
    """Add a transformer block whose MLP is `inner` wide."""
    query_rows, kv_rows = config.heads * config.head_dim, config.kv_heads * config.head_dim
    hidden = config.hidden_size
    layout.vectors[f"{prefix}.input_layernorm.weight"] = hidden
    layout.matrices[f"{prefix}.self_attn.q_proj.weight"] = (query_rows, hidden)
    layout.matrices[f"{prefix}.self_attn.k_proj.weight"] = (kv_rows, hidden)
    layout.matrices[f"{prefix}.self_attn.v_proj.weight"] = (kv_rows, hidden)
    layout.matrices[f"{prefix}.self_attn.o_proj.weight"] = (hidden, query_rows)
    layout.vectors[f"{prefix}.post_attention_layernorm.weight"] = hidden
    layout.matrices[f"{prefix}.mlp.gate_proj.weight"] = (inner, hidden)
    layout.matrices[f"{prefix}.mlp.up_proj.weight"] = (inner, hidden)
    layout.matrices[f"{prefix}.mlp.down_proj.weight"] = (hidden, inner)


def output_matrix(config: ModelConfig) -> str:
    """Return the name of the matrix that makes logits: the embedding where it is tied."""
    return "model.embed_tokens.weight" if config.tied_embedding else "lm_head.weight"


def heads_output_matrix(config: ModelConfig, module: int) -> str:
    """Return the name of the matrix that scores the states of a module of the extra heads."""
    heads = config.extra_heads
    if heads is not None and heads.unembedding == "own":
        return f"heads.{module}.unembed.weight"
    if heads is not None and heads.draft_vocab_size is not None:
        return "heads.unembed.weight"
    return output_matrix(config)


def is_unembedding(name: str) -> bool:
    """Return whether a matrix is an output matrix that extra heads alone have."""
    return name.startswith("heads.") and name.endswith(".unembed.weight")


def parts_of(name: str, kind: Kind, rows: int, cols: int) -> dict[str, tuple[str, tuple[int, int]]]:
    """Return the tensors that store matrix `name` in `kind`: {tensor: (dtype, shape)}."""
    if kind in {"f32", "bf16"}:
        return {name: (kind.upper(), (rows, cols))}
    blocks = ("F16", (rows, cols // BLOCK))
    if kind == "q8":
        return {f"{name}.q8": ("I8", (rows, cols)), f"{name}.scale": blocks}
    return {f"{name}.q4": ("U8", (rows, cols // 2)), f"{name}.min": blocks, f"{name}.scale": blocks}


def kind_of(tensors: Mapping[str, StoredTensor], name: str) -> Kind:
    """Return the kind in which matrix `name` is stored.

    Raises:
        ModelFormatError: it is absent, stored twice or has a dtype that no kind has.
    """
    stored = [part for part in (name, f"{name}.q8", f"{name}.q4") if part in tensors]
    if len(stored) > 1:
        problem = "is stored twice: as more than one of NAME, NAME.q8 and NAME.q4; keep one"
        raise ModelFormatError(WEIGHTS_FILE, name, problem)
    if not stored:
        raise ModelFormatError(WEIGHTS_FILE, name, "is missing; write the model again")
    if stored[0].endswith(".q8"):
        return "q8"
    if stored[0].endswith(".q4"):
        return "q4"
    dtype = tensors[name].dtype
    if dtype == "F32":
        return "f32"
    if dtype == "BF16":
        return "bf16"
    raise ModelFormatError(WEIGHTS_FILE, name, f"has dtype {dtype}; expected F32 or BF16")


def check_layout(tensors: Mapping[str, StoredTensor], data: memoryview, layout: Layout) -> dict[str, Kind]:
    """Return the kind of every matrix, once it is sure that the file holds just the weights of `layout`.

    Args:
        tensors: the file's tensors.
        data: the file's bytes.
        layout: the weights that config.json asks for.

    Raises:
        ModelFormatError: a tensor is missing, stored twice, unknown, of another dtype or shape, a scale or
            minimum that is not finite, or an id out of order.
    """
    known: set[str] = set()
    kinds: dict[str, Kind] = {}
    halves: list[str] = []
    for name, size in layout.vectors.items():
        _demand(tensors, name, "F32", (size,))
        known.add(name)
    for name, (size, _bound) in layout.ids.items():
        _demand(tensors, name, "I32", (size,))
        known.add(name)
    for name, (rows, cols) in layout.matrices.items():
        kinds[name] = kind_of(tensors, name)
        for part, (dtype, shape) in parts_of(name, kinds[name], rows, cols).items():
            _demand(tensors, part, dtype, shape)
            known.add(part)
            if dtype == "F16":
                halves.append(part)
    for name in tensors:
        if name not in known:
            problem = (
                "is stored although tie_word_embeddings says that the embedding is used"
                if name.startswith("lm_head.")
                else "is not a tensor of this model; remove it or correct config.json"
            )
            raise ModelFormatError(WEIGHTS_FILE, name, problem)
    for name in halves:
        if not all_finite_f16(data[tensors[name].begin : tensors[name].end]):
            problem = "holds a number that is not finite; write the model again"
            raise ModelFormatError(WEIGHTS_FILE, name, problem)
    for name, (_size, bound) in layout.ids.items():
        _check_ids(name, data[tensors[name].begin : tensors[name].end], bound)
    return kinds


def _demand(tensors: Mapping[str, StoredTensor], name: str, dtype: str, shape: tuple[int, ...]) -> None:
    tensor = tensors.get(name)
    if tensor is None:
        raise ModelFormatError(WEIGHTS_FILE, name, "is missing; write the model again")
    if tensor.dtype != dtype:
        raise ModelFormatError(WEIGHTS_FILE, name, f"has dtype {tensor.dtype}; expected {dtype}")
    if tensor.shape != shape:
        problem = f"has shape {list(tensor.shape)}; config.json asks for {list(shape)}"
        raise ModelFormatError(WEIGHTS_FILE, name, problem)


def _check_ids(name: str, data: memoryview, bound: int) -> None:
    before = -1
    for index, (token,) in enumerate(struct.iter_unpack("<i", data)):
        if not before < token < bound:
            problem = f"holds {token} at index {index}; expected ascending ids below {bound}"
            raise ModelFormatError(WEIGHTS_FILE, name, problem)
        before = token


_EXPONENT_FULL = bytes([*range(0x7C, 0x80), *range(0xFC, 0x100)])


def all_finite_f16(data: memoryview) -> bool:
    """Return whether every little-endian half-precision number is finite.

    A number's second byte holds sign, exponent and two bits of the fraction; NaN and infinity have all
    exponent bits set.
    """
    high = bytes(data)[1::2]
    return len(high.translate(None, _EXPONENT_FULL)) == len(high)
