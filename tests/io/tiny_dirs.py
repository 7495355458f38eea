"""A tiny valid model directory as data, for tests that then damage it."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from mtp_rt.model_dir import layout_of, parse_model_config, parts_of

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 33,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": [1, 32],
    "mtp_rt": {
        "format_version": 1,
        "rope_layout": "interleaved",
        "two_stage_head": {"margin": 8.0},
        "quantization": {"layers": "mixed", "lm_head": "q8"},
        "source": {"name": "nothing", "license": "Apache-2.0"},
    },
}

Parts = dict[str, tuple[str, tuple[int, ...], bytes]]  # name: (dtype, shape, bytes)


def kind_in_tiny(name: str) -> str:
    """Every kind occurs: q8 at both ends, q4 and one bf16 and one f32 matrix between."""
    if name in {"model.embed_tokens.weight", "lm_head.weight"}:
        return "q8"
    return {"v_proj": "bf16", "o_proj": "f32"}.get(name.split(".")[-2], "q4")


def tiny_parts(config: Mapping[str, Any] = CONFIG, seed: int = 1) -> Parts:
    """Random finite weights for every tensor the config asks for."""
    generator = random.Random(seed)
    return dict(_parts(json.dumps(config).encode(), generator))


def _parts(
    config: bytes, generator: random.Random
) -> Iterator[tuple[str, tuple[str, tuple[int, ...], bytes]]]:
    layout = layout_of(parse_model_config(config))
    for name, size in layout.vectors.items():
        yield name, ("F32", (size,), _floats(generator, size))
    for name, (rows, cols) in layout.matrices.items():
        for part, (dtype, shape) in parts_of(name, kind_in_tiny(name), rows, cols).items():
            count = shape[0] * shape[1]
            if dtype == "F32":
                data = _floats(generator, count)
            elif dtype == "F16":
                data = struct.pack(f"<{count}e", *(generator.uniform(-1, 1) for _ in range(count)))
            elif dtype == "BF16":
                data = b"".join(_floats(generator, 1)[2:] for _ in range(count))
            else:
                data = generator.randbytes(count)
            yield part, (dtype, shape, data)


def _floats(generator: random.Random, count: int) -> bytes:
    return struct.pack(f"<{count}f", *(generator.uniform(-1, 1) for _ in range(count)))
