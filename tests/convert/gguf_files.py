"""Small GGUF files made with the gguf package, and damaged copies of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

LAYERS, HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM = 2, 64, 96, 2, 1, 32
SPECIALS = ["<|end|>", "<|start|>"]
USER_DEFINED = "<think>"
MERGES = ["t h", "th e", "Ġ the", "1 2", "Ġ Ġ", "i n", "Ġ 1"]


def byte_alphabet() -> list[str]:
    """The 256 characters that byte-level BPE writes bytes with."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def vocabulary() -> list[str]:
    return [*SPECIALS, *byte_alphabet(), *(merge.replace(" ", "") for merge in MERGES), USER_DEFINED]


def metadata() -> dict[str, Any]:
    """Key -> value of a complete tiny model; tests change it before writing."""
    tokens = vocabulary()
    types = [3] * len(SPECIALS) + [1] * (len(tokens) - len(SPECIALS) - 1) + [4]
    return {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.license": "mit",
        "llama.block_count": LAYERS,
        "llama.context_length": 128,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
    }


def shapes(tied: bool = True) -> dict[str, tuple[int, ...]]:
    rows = len(vocabulary())
    result: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (rows, HIDDEN),
        "output_norm.weight": (HIDDEN,),
    }
    for layer in range(LAYERS):
        prefix = f"blk.{layer}"
        result |= {
            f"{prefix}.attn_norm.weight": (HIDDEN,),
            f"{prefix}.ffn_norm.weight": (HIDDEN,),
            f"{prefix}.attn_q.weight": (HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}.attn_k.weight": (KV_HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}.attn_v.weight": (KV_HEADS * HEAD_DIM, HIDDEN),
            f"{prefix}.attn_output.weight": (HIDDEN, HEADS * HEAD_DIM),
            f"{prefix}.ffn_gate.weight": (INNER, HIDDEN),
            f"{prefix}.ffn_up.weight": (INNER, HIDDEN),
            f"{prefix}.ffn_down.weight": (HIDDEN, INNER),
        }
    if not tied:
        result["output.weight"] = (rows, HIDDEN)
    return result


def random_tensors(seed: int = 0, tied: bool = True) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes(tied).items()}


def write_gguf(
    path: Path,
    fields: Mapping[str, Any] | None = None,
    tensors: Mapping[str, NDArray[np.float32]] | None = None,
    type_of: Callable[[str], str] = lambda name: "F32",
) -> Path:
    """Write a GGUF file; vectors stay F32, matrices become type_of(name), quantised by the gguf package."""
    fields = metadata() if fields is None else dict(fields)
    writer = gguf.GGUFWriter(path, fields.pop("general.architecture"))
    for key, value in fields.items():
        _add(writer, key, value)
    for name, values in (random_tensors() if tensors is None else tensors).items():
        kind = gguf.GGMLQuantizationType[type_of(name) if values.ndim == 2 else "F32"]
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_uint32(key, value)


def patched(source: Path, target: Path, at: int, form: str, value: int) -> Path:
    """Write a copy of a file with one little-endian number replaced."""
    data = bytearray(source.read_bytes())
    struct.pack_into(f"<{form}", data, at, value)
    target.write_bytes(data)
    return target
