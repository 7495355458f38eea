"""Heads with random weights, as tensors of a package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mtp_rt.convert.quantize import quantize
from mtp_rt.model_dir import HeadsConfig, heads_layout_of, parts_of

HEADS = HeadsConfig(
    "recurrent", 3, "sequential", "residual", True, 64, (), 96, False, None, (0.5, 0.5, 0.25), {"heads": "q4"}
)


def tensors(config: Any, heads: HeadsConfig) -> list[Any]:
    generator, found = np.random.default_rng(0), []
    layout = heads_layout_of(replace(config, extra_heads=heads))
    for name, size in layout.vectors.items():
        found.append((name, "F32", (size,), np.ones(size, np.float32)))
    for name, (rows, cols) in layout.matrices.items():
        parts = quantize(generator.normal(size=(rows, cols)).astype(np.float32), "q4")
        for part, (dtype, shape) in parts_of(name, "q4", rows, cols).items():
            found.append((part, dtype, shape, parts[part.removeprefix(name)]))
    for name, (size, _) in layout.ids.items():
        found.append((name, "I32", (size,), np.arange(size, dtype=np.int32) * 2))
    return found
