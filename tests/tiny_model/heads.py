"""Extra heads for the tiny model, drawn at random: every wiring and body, by preset."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.convert.quantize import quantize
from mtp_rt.model_dir import (
    Kind,
    ModelConfig,
    Tensor,
    heads_layout_of,
    is_unembedding,
    output_matrix,
    parse_model_config,
    parts_of,
    read_model_dir,
    write_model_dir,
)
from tiny_model.variants import stored_values

Kinds = Kind | Sequence[Kind]

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "recurrent": {
        **{"count": 4, "wiring": "sequential", "body": "residual", "shared": True, "intermediate_size": 128},
        **{"draft_vocab_size": 256, "acceptance": [0.6, 0.5, 0.4, 0.3]},
    },
    "tapped": {
        **{"count": 3, "wiring": "sequential", "body": "residual", "shared": True, "intermediate_size": 96},
        **{"taps": [0, 1], "draft_vocab_size": 128},
    },
    "fastmtp": {
        **{"count": 3, "wiring": "sequential", "body": "block", "shared": True, "intermediate_size": 192},
        **{"draft_vocab_size": 256, "output_norm": True},
    },
    "medusa": {"count": 3, "wiring": "parallel", "body": "residual", "intermediate_size": 96},
    "hydra": {
        **{"count": 3, "wiring": "sequential", "body": "residual", "intermediate_size": 64},
        **{"draft_vocab_size": 128},
    },
    "deepseek": {
        **{"count": 3, "wiring": "sequential", "body": "block", "intermediate_size": 96},
        "output_norm": True,
    },
    "eagle3": {
        **{"count": 4, "wiring": "sequential", "body": "block", "shared": True, "intermediate_size": 128},
        **{"taps": [0, 1], "draft_vocab_size": 256},
    },
    "gloeckle": {"count": 3, "wiring": "parallel", "body": "block", "intermediate_size": 96},
    "gloeckle-linear": {"count": 3, "wiring": "parallel", "body": "linear"},
    "causal": {
        "count": 3,
        "wiring": "chained",
        "body": "block",
        "intermediate_size": 96,
        "output_norm": True,
    },
    "medusa-own": {
        **{"count": 3, "wiring": "parallel", "body": "residual", "intermediate_size": 96},
        "unembedding": "own",
    },
    "causal-own": {
        **{"count": 3, "wiring": "chained", "body": "block", "intermediate_size": 96, "output_norm": True},
        **{"draft_vocab_size": 128, "unembedding": "own"},
    },
}


def write_with_heads(
    heads: Mapping[str, Any], base: Path, target: Path, *, kind: Kind = "q4", unembed: Kinds = "q8"
) -> None:
    """Write the model directory `base` with the heads that `heads` (mtp_rt.heads) describes to `target`.

    The weights are drawn at random, the same for the same heads. One output matrix of all heads holds the
    trunk's rows of the draft vocabulary, so that scores spread as the trunk's do; those of single heads hold
    rows of the trunk's in an order of their own.

    Args:
        kind: of the heads' matrices.
        unembed: of output matrices: of all, or of the first, the second, ...
    """
    model = read_model_dir(base)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config["mtp_rt"]["heads"] = dict(heads)
    parsed = parse_model_config(json.dumps(config).encode())
    trunk = stored_values(model)[output_matrix(parsed)]

    def tensors() -> Iterator[Tensor]:
        for name, stored in model.tensors.items():
            yield name, stored.dtype, stored.shape, model.tensor(name)
        yield from _random_heads(parsed, trunk, kind, unembed)

    others = {
        path.name: path for path in base.iterdir() if path.name not in {"config.json", "model.safetensors"}
    }
    write_model_dir(target, config, tensors(), others)


def _random_heads(
    config: ModelConfig, trunk: NDArray[np.float32], kind: Kind, unembed: Kinds
) -> Iterator[Tensor]:
    # Heads keep their weights when a new field leaves them as they are.
    fields = repr(config.extra_heads).replace(", unembedding='shared'", "")
    rng = np.random.default_rng(list(fields.encode()))
    layout = heads_layout_of(config)
    kinds = itertools.cycle([unembed] if isinstance(unembed, str) else unembed)
    ids = {name: np.sort(rng.permutation(bound)[:size]) for name, (size, bound) in layout.ids.items()}
    for name, size in layout.vectors.items():
        yield name, "F32", (size,), (1 + 0.2 * rng.standard_normal(size)).astype(np.float32)
    for name, values in ids.items():
        yield name, "I32", values.shape, values.astype(np.int32)
    for name, (rows, cols) in layout.matrices.items():
        if is_unembedding(name):
            scored = ids.get("heads.draft_ids", np.arange(config.vocab_size))
            own = config.extra_heads is not None and config.extra_heads.unembedding == "own"
            yield from _stored(name, trunk[rng.permutation(scored) if own else scored], next(kinds))
        else:
            yield from _stored(name, rng.standard_normal((rows, cols)) * cols**-0.5, kind)


def _stored(name: str, values: NDArray[Any], kind: Kind) -> Iterator[Tensor]:
    values = np.ascontiguousarray(values, np.float32)
    if kind == "f32":
        yield name, "F32", values.shape, values
        return
    parts = quantize(values, kind)
    for part, (dtype, shape) in parts_of(name, kind, *values.shape).items():
        yield part, dtype, shape, parts[part.removeprefix(name)]
