"""Weights of a model directory as float32 tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mtp_rt.convert.quantize import dequantize
from mtp_rt.model_dir import ModelDir, layout_of, parts_of

_NUMPY = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I8": np.int8, "U8": np.uint8}


def read_matrix(model: ModelDir, name: str) -> Tensor:
    """Return the float32 values [rows, cols] of a stored matrix, whatever its kind."""
    kind = model.weight_kind(name)
    parts = {
        part.removeprefix(name): np.frombuffer(model.tensor(part), _NUMPY[model.tensors[part].dtype]).reshape(
            model.tensors[part].shape
        )
        for part in parts_of(name, kind, 1, 32)
    }
    return torch.from_numpy(dequantize(parts, kind).copy())


def read_vector(model: ModelDir, name: str) -> Tensor:
    """Return the float32 values of a stored vector."""
    return torch.from_numpy(np.frombuffer(model.tensor(name), np.float32).copy())


def read_weights(model: ModelDir) -> dict[str, Tensor]:
    """Return the float32 values of every vector and matrix, by name."""
    layout = layout_of(model.config)
    vectors = {name: read_vector(model, name) for name in layout.vectors}
    return vectors | {name: read_matrix(model, name) for name in layout.matrices}
