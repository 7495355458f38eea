"""A tiny valid model directory as data, and ways to write it down unchecked."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
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

HEADS: dict[str, Any] = {
    "preset": "recurrent",
    "count": 3,
    "wiring": "sequential",
    "body": "residual",
    "shared": True,
    "intermediate_size": 32,
    "taps": [0],
    "draft_vocab_size": 32,
    "unembedding": "shared",
    "output_norm": True,
    "acceptance": [0.75, 0.5, 0.25],
    "quantization": {"heads": "q4", "unembed": "q8"},
}
BLOCK_HEADS: dict[str, Any] = {
    "count": 2,
    "wiring": "sequential",
    "body": "block",
    "intermediate_size": 64,
    "window": 16,
}
OWN_HEADS: dict[str, Any] = {
    "count": 2,
    "wiring": "parallel",
    "body": "residual",
    "intermediate_size": 32,
    "draft_vocab_size": 32,
    "unembedding": "own",
    "quantization": {"heads": "q4", "unembed": "q4"},
}


def with_heads(heads: Mapping[str, Any]) -> dict[str, Any]:
    """The tiny model's config with these extra heads."""
    return {**CONFIG, "mtp_rt": {**CONFIG["mtp_rt"], "heads": dict(heads)}}


Part = tuple[str, tuple[int, ...], bytes]  # dtype, shape, bytes
ELEMENT = {"F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1}


def kind_in_tiny(name: str) -> str:
    """Every kind occurs: q8 at both ends, one bf16 and one f32 matrix and q4 between."""
    if name in {"model.embed_tokens.weight", "lm_head.weight"}:
        return "q8"
    return {"v_proj": "bf16", "o_proj": "f32"}.get(name.split(".")[-2], "q4")


def tiny_parts(
    config: Mapping[str, Any] = CONFIG, kind_in: Callable[[str], str] = kind_in_tiny, seed: int = 1
) -> dict[str, Part]:
    """Random finite weights for every tensor the config asks for, by name, widest elements first."""
    parts = dict(_random_parts(json.dumps(config).encode(), kind_in, random.Random(seed)))
    return dict(sorted(parts.items(), key=lambda entry: -ELEMENT[entry[1][0]]))


def _random_parts(
    config: bytes, kind_in: Callable[[str], str], generator: random.Random
) -> Iterator[tuple[str, Part]]:
    layout = layout_of(parse_model_config(config))
    for name, size in layout.vectors.items():
        yield name, ("F32", (size,), _numbers(generator, "f", size))
    for name, (size, bound) in layout.ids.items():
        yield name, ("I32", (size,), struct.pack(f"<{size}i", *sorted(generator.sample(range(bound), size))))
    for name, (rows, cols) in layout.matrices.items():
        for part, (dtype, shape) in parts_of(name, kind_in(name), rows, cols).items():
            count = shape[0] * shape[1]
            if dtype in {"F32", "F16"}:
                data = _numbers(generator, "f" if dtype == "F32" else "e", count)
            elif dtype == "BF16":
                floats = _numbers(generator, "f", count)
                data = b"".join(floats[at + 2 : at + 4] for at in range(0, len(floats), 4))
            else:
                data = generator.randbytes(count)
            yield part, (dtype, shape, data)


def _numbers(generator: random.Random, code: str, count: int) -> bytes:
    return struct.pack(f"<{count}{code}", *(generator.uniform(-1, 1) for _ in range(count)))


@dataclasses.dataclass
class Draft:
    """A model directory about to be written; `*_text` and `weights` stand for the data where they are set."""

    config: dict[str, Any]
    header: dict[str, Any]
    data: bytearray
    config_text: bytes | None = None
    header_text: bytes | None = None
    weights: bytes | None = None

    def write(self, folder: Path) -> Path:
        folder.mkdir()
        config = json.dumps(self.config).encode() if self.config_text is None else self.config_text
        (folder / "config.json").write_bytes(config)
        (folder / "model.safetensors").write_bytes(self.file() if self.weights is None else self.weights)
        return folder

    def file(self) -> bytes:
        text = json.dumps(self.header).encode() if self.header_text is None else self.header_text
        if self.header_text is None:
            text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text + self.data

    def append(self, name: str, dtype: str, shape: list[int]) -> None:
        """Add a tensor of zeros behind the others."""
        size = ELEMENT[dtype]
        for length in shape:
            size *= length
        begin = len(self.data)
        self.data.extend(bytes(size))
        self.header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}

    def remove(self, name: str) -> None:
        """Take a tensor out and close the gap."""
        begin, end = self.header.pop(name)["data_offsets"]
        del self.data[begin:end]
        for tensor in self.header.values():
            if tensor["data_offsets"][0] >= end:
                tensor["data_offsets"] = [offset - (end - begin) for offset in tensor["data_offsets"]]


def tiny_draft(config: Mapping[str, Any] = CONFIG) -> Draft:
    """The tiny model as a draft: valid until something changes it."""
    header, data = {}, bytearray()
    for name, (dtype, shape, content) in tiny_parts(config).items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        data += content
    return Draft(copy.deepcopy(dict(config)), header, data)
