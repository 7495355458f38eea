"""Writes Llama weights as a model directory: the tiny model itself and the variants that tests make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.convert.quantize import quantize
from mtp_rt.model_dir import Kind, Tensor, parts_of, write_model_dir

Weights = Mapping[str, NDArray[np.float32]]  # Hugging Face name -> values


def write_llama(
    target: Path,
    config: Mapping[str, Any],
    weights: Weights,
    *,
    layers: Kind,
    lm_head: Kind,
    rope_layout: str,
    margin: float | None = None,
    source: Mapping[str, str] | None = None,
    extra_files: Mapping[str, bytes] | None = None,
) -> None:
    """Write `weights` to the new directory `target`.

    Args:
        target: must not exist.
        config: Hugging Face fields of config.json.
        weights: q and k rows stand in the order that `rope_layout` says.
        layers: kind of the matrices inside layers.
        lm_head: kind of the embedding and the output matrix.
        rope_layout: "interleaved" or "half".
        margin: of the two-stage head; None: no such head.
        source: where the weights come from.
        extra_files: further top-level files by name.
    """
    own: dict[str, Any] = {
        "format_version": 1,
        "rope_layout": rope_layout,
        "two_stage_head": None if margin is None else {"margin": margin},
        "quantization": {"layers": layers, "lm_head": lm_head},
    }
    if source is not None:
        own["source"] = dict(source)
    full = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **config, "mtp_rt": own}
    write_model_dir(target, full, _stored(weights, layers, lm_head), extra_files)


def _stored(weights: Weights, layers: Kind, lm_head: Kind) -> Iterator[Tensor]:
    for name, values in weights.items():
        kind = layers if name.startswith("model.layers.") else lm_head
        if values.ndim == 1 or kind == "f32":
            yield name, "F32", values.shape, np.ascontiguousarray(values, np.float32)
            continue
        parts = quantize(values, kind)
        for part, (dtype, shape) in parts_of(name, kind, *values.shape).items():
            yield part, dtype, shape, parts[part.removeprefix(name)]


def interleave(matrix: NDArray[np.float32], head_dim: int) -> NDArray[np.float32]:
    """Return a q or k matrix with each head's rows moved from rope layout "half" to "interleaved"."""
    heads = matrix.reshape(-1, 2, head_dim // 2, matrix.shape[1])
    return heads.swapaxes(1, 2).reshape(matrix.shape)


def deinterleave(matrix: NDArray[np.float32], head_dim: int) -> NDArray[np.float32]:
    """Invert `interleave`."""
    heads = matrix.reshape(-1, head_dim // 2, 2, matrix.shape[1])
    return heads.swapaxes(1, 2).reshape(matrix.shape)
