"""A Llama GGUF file -> a model directory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mtp_rt.convert.assemble import Kinds, Progress, Stored, layout, write
from mtp_rt.convert.digest import sha256_of
from mtp_rt.convert.gguf_config import read_config
from mtp_rt.convert.gguf_file import GgufFile, GgufTensor
from mtp_rt.convert.gguf_tokenizer import build_tokenizer
from mtp_rt.convert.gguf_weights import f16_kind, own_kind, read_floats, read_matrix
from mtp_rt.convert.quantize import Parts
from mtp_rt.errors import ModelFormatError, UnsupportedError
from mtp_rt.model_dir import Layout

_GLOBAL_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def import_gguf(
    source: Path,
    target: Path,
    *,
    quantize: str | None = None,
    lm_head: str | None = None,
    two_stage_head: float | bool | None = None,
    progress: Progress | None = None,
    provenance: Mapping[str, str] | None = None,
    replace: bool = False,
) -> None:
    """Convert a GGUF file of a Llama model; `target` appears complete or not at all.

    Weights keep the file's own kinds unless told otherwise (gguf_weights.py says which). Query and key rows
    stay in GGUF's order, so the directory's RoPE layout is "interleaved".

    Args:
        source: The GGUF file.
        target: The model directory to write.
        quantize: Kind of the layers' matrices: "f32", "bf16", "q8" or "q4".
        lm_head: Kind of the output matrix and the embedding, likewise.
        two_stage_head: Search a q8 output matrix in two stages: on, off, or with this margin in logits.
            None: on, margin 8, where the output matrix is q8.
        progress: Called with (what, tensors done, tensors in all).
        provenance: Recorded in config.json under mtp_rt.source (name, file, sha256, license), on top of what
            the file says of itself.
        replace: Replace a directory at `target` that is not empty.

    Raises:
        ModelFormatError: the file is damaged; names file and field.
        UnsupportedError: an architecture, variation, tensor or tokenizer outside what mtp-rt runs.
        ArgumentError: an option is not one of the values above, or `target` may not be replaced.
        OSError: the disk is full or not writable.
    """
    kinds = Kinds.from_options(quantize, lm_head)
    with GgufFile(source) as file:
        config = read_config(file)
        tensors = _match_tensors(file, layout(config, source, "interleaved"))
        texts = {"tokenizer.json": build_tokenizer(file), "chat_template.jinja": _chat_template(file)}
        write(
            target,
            config,
            _choose_kinds(file, tensors, kinds),
            rope_layout="interleaved",
            two_stage_head=two_stage_head,
            source=_origin(file) | dict(provenance or {}),
            extra_files={name: text.encode() for name, text in texts.items() if text is not None},
            replace=replace,
            progress=progress,
        )


def _match_tensors(file: GgufFile, expected: Layout) -> dict[str, GgufTensor]:
    """Return our name -> tensor, complete and of the right shapes; vectors first."""
    theirs = {ours: name for name, ours in _GLOBAL_NAMES.items()}
    for layer in range(file.metadata["llama.block_count"]):
        for name, ours in _LAYER_NAMES.items():
            theirs[f"model.layers.{layer}.{ours}.weight"] = f"blk.{layer}.{name}.weight"
    unknown = sorted(file.tensors.keys() - theirs.values())
    if unknown:
        raise UnsupportedError(
            f"{file.path}: {unknown[0]}: this tensor is no part of a plain Llama model "
            f"({len(unknown)} such: biases, experts and RoPE factors are not supported)"
        )
    shapes: dict[str, tuple[int, ...]] = {name: (size,) for name, size in expected.vectors.items()}
    found: dict[str, GgufTensor] = {}
    for ours, shape in (shapes | dict(expected.matrices)).items():
        tensor = file.tensors.get(theirs[ours])
        if tensor is None:
            raise ModelFormatError(str(file.path), theirs[ours], "is missing from the tensors")
        if tensor.shape != shape:
            problem = f"has shape {list(tensor.shape)}, but the metadata means {list(shape)}"
            raise ModelFormatError(str(file.path), tensor.name, problem)
        found[ours] = tensor
    return found


def _choose_kinds(file: GgufFile, tensors: Mapping[str, GgufTensor], kinds: Kinds) -> list[Stored]:
    exact_f16 = f16_kind(file, (tensor for tensor in tensors.values() if len(tensor.shape) == 2))
    stored = []
    for name, tensor in tensors.items():
        if len(tensor.shape) == 1:
            stored.append(Stored(name, "f32", partial(_read_vector, file, tensor)))
            continue
        kind = kinds.of(name, own_kind(tensor, exact_f16))
        stored.append(Stored(name, kind, partial(read_matrix, file, tensor, kind)))
    return stored


def _read_vector(file: GgufFile, tensor: GgufTensor) -> Parts:
    values = read_floats(file, tensor)
    if not np.isfinite(values).all():
        raise ModelFormatError(str(file.path), tensor.name, "holds NaN or infinity")
    return {"": values}


def _chat_template(file: GgufFile) -> str | None:
    template = file.metadata.get("tokenizer.chat_template")
    if template is not None and not isinstance(template, str):
        raise ModelFormatError(str(file.path), "tokenizer.chat_template", "is not a string")
    return template


def _origin(file: GgufFile) -> dict[str, str]:
    """Return what the file says of itself: name, licence, and its own file name and SHA-256."""
    origin: dict[str, Any] = {"file": file.path.name, "sha256": sha256_of(file.path)}
    for field, key in (("name", "general.name"), ("license", "general.license")):
        if isinstance(file.metadata.get(key), str):
            origin[field] = file.metadata[key]
    return origin
