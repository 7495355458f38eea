"""Weights of a model directory in other kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mtp_rt.convert.quantize import Parts, dequantize, quantize
from mtp_rt.model_dir import Kind, ModelDir, Tensor, is_unembedding, layout_of, output_matrix, parts_of

_NUMPY = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I8": np.int8, "U8": np.uint8}
_VOCABULARIES = {"model.embed_tokens.weight", "lm_head.weight"}


def wanted_kinds(model: ModelDir, layers: Kind | None, vocabulary: Kind | None) -> dict[str, Kind]:
    """Return the kind of every matrix: its own, `vocabulary` where tokens are rows, `layers` elsewhere."""
    return {
        name: (vocabulary if name in _VOCABULARIES or is_unembedding(name) else layers) or kind
        for name, kind in model.kinds.items()
    }


def tensors_in(model: ModelDir, kinds: Mapping[str, Kind], *, symmetric: bool = False) -> Iterator[Tensor]:
    """Return every tensor in the order of the file, matrices in these kinds, one in memory at a time.

    Args:
        model: whose tensors.
        kinds: of every matrix.
        symmetric: q4 matrices become symmetric, those that have that kind already too.
    """
    done = set()
    layout = layout_of(model.config)
    for stored_name, stored in sorted(model.tensors.items(), key=lambda entry: entry[1].begin):
        name = _matrix_of(stored_name, model)
        if name is None or (
            kinds[name] == model.kinds[name]
            and not (symmetric and kinds[name] == "q4" and not is_symmetric(model, name))
        ):
            yield stored_name, stored.dtype, stored.shape, model.tensor(stored_name)
        elif name not in done:
            done.add(name)
            values = dequantize(stored_parts(model, name), model.kinds[name])
            parts = quantize(values, kinds[name], symmetric=symmetric)
            for part, (dtype, shape) in parts_of(name, kinds[name], *layout.matrices[name]).items():
                yield part, dtype, shape, parts[part.removeprefix(name)].data


def described(own: Mapping[str, Any], model: ModelDir, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Return `own`, the key "mtp_rt" of config.json, for matrices of these kinds."""
    output = output_matrix(model.config)
    layers = [kind for name, kind in kinds.items() if name.startswith("model.layers.")]
    result = {**own, "quantization": {"layers": _common(layers), "lm_head": kinds[output]}}
    if kinds[output] != "q8":
        result["two_stage_head"] = None
    heads = own.get("heads")
    if heads is not None:
        unembed = [kind for name, kind in kinds.items() if is_unembedding(name)]
        others = [
            kind for name, kind in kinds.items() if name.startswith("heads.") and not is_unembedding(name)
        ]
        quantization = {"heads": _common(others)} | ({"unembed": _common(unembed)} if unembed else {})
        result["heads"] = {**heads, "quantization": quantization}
    return result


def _common(kinds: Sequence[Kind]) -> str:
    return kinds[0] if len(set(kinds)) == 1 else "mixed"


def _matrix_of(stored_name: str, model: ModelDir) -> str | None:
    """Return the matrix that a stored tensor is a part of; None for vectors and ids."""
    if stored_name in model.kinds:
        return stored_name
    name = stored_name.rpartition(".")[0]
    return name if name in model.kinds else None


def is_symmetric(model: ModelDir, name: str) -> bool:
    """Return whether every minimum of a q4 matrix is -8 times its scale: code 8 stands for 0."""
    parts = stored_parts(model, name)
    return bool(np.array_equal(parts[".min"].astype(np.float32), -8 * parts[".scale"].astype(np.float32)))


def stored_parts(model: ModelDir, name: str) -> Parts:
    """Return a matrix as it is stored, as arrays by the suffixes of its parts."""
    layout = layout_of(model.config).matrices[name]
    return {
        part.removeprefix(name): np.frombuffer(model.tensor(part), _NUMPY[dtype]).reshape(shape)
        for part, (dtype, shape) in parts_of(name, model.kinds[name], *layout).items()
    }
