"""A model directory as a Hugging Face folder with f32 weights of exactly the same values."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtp_rt.convert.quantize import dequantize
from mtp_rt.errors import UnsupportedError
from mtp_rt.model_dir import ModelDir, layout_of, parts_of, read_model_dir

Array = NDArray[np.float32]

DTYPES = {"F32": np.float32, "BF16": np.uint16, "F16": np.float16, "I8": np.int8, "U8": np.uint8}
ROTATED = ("q_proj.weight", "k_proj.weight")


def write(source: str | Path, target: Path) -> None:
    """Write the model directory `source` as a Hugging Face folder at `target`, which must not exist.

    Raises:
        UnsupportedError: safetensors is not installed, or the model has no tokenizer.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise UnsupportedError('converting needs safetensors: run `pip install "mtp-rt[peers]"`') from error
    model = read_model_dir(source)
    if not (model.path / "tokenizer.json").is_file():
        raise UnsupportedError(f"{source}: has no tokenizer.json, and this peer's format needs one")
    target.mkdir(parents=True)
    save_file(weights(model), target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((model.path / "config.json").read_text(encoding="utf-8"))
    del config["mtp_rt"]
    (target / "config.json").write_text(json.dumps({**config, "dtype": "float32"}), encoding="utf-8")
    shutil.copyfile(model.path / "tokenizer.json", target / "tokenizer.json")
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def weights(model: ModelDir) -> dict[str, Array]:
    """Return every weight by its Hugging Face name; queries and keys rotate i with i + head_dim / 2."""
    layout = layout_of(dataclasses.replace(model.config, extra_heads=None))  # no peer runs ours
    result = {name: _stored(model, name).astype(np.float32) for name in layout.vectors}
    for name, (rows, cols) in layout.matrices.items():
        kind = model.kinds[name]
        parts = {part.removeprefix(name): _stored(model, part) for part in parts_of(name, kind, rows, cols)}
        matrix = dequantize(parts, kind)
        if model.config.rope_layout == "interleaved" and name.endswith(ROTATED):
            matrix = half_rotation(matrix, model.config.head_dim)
        result[name] = matrix
    return result


def half_rotation(matrix: Array, head_dim: int) -> Array:
    """Return rows [heads * head_dim, cols] in another order, for i to rotate with i + head_dim / 2.

    Before, 2i rotates with 2i + 1.
    """
    cols = matrix.shape[1]
    pairs = matrix.reshape(-1, head_dim // 2, 2, cols)
    return np.ascontiguousarray(pairs.transpose(0, 2, 1, 3).reshape(-1, cols), np.float32)


def _stored(model: ModelDir, name: str) -> NDArray[np.generic]:
    stored = model.tensors[name]
    return np.frombuffer(model.tensor(name), DTYPES[stored.dtype]).reshape(stored.shape)
