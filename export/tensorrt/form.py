"""Graphs as TensorRT wants them: half-precision products and caches, 4-bit weights as signed integers.

Residual stream, norms and logits stay float32. A matrix keeps its values: q4 of an even number of rows
becomes signed 4-bit integers in blocks of 32 plus the sums of the inputs' blocks times (min + 8 scale),
everything else float16. Both need other bytes than model.safetensors holds, so they go to a file beside the
graph while a plan is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from mtp_rt.convert.quantize import BLOCK, dequantize, pack_nibbles, unpack_nibbles
from mtp_rt.errors import ModelFormatError
from mtp_rt.export.builder import FLOAT, HALF, OPSET, Graph
from mtp_rt.export.requantize import is_symmetric, stored_parts
from mtp_rt.export.weights import block_sums

_EMBEDDING = "model.embed_tokens.weight"
_NIBBLE_ZERO = 8
_DTYPES = {"float16": HALF, "uint8": TensorProto.INT4}


class TensorRtForm:
    """A form of graphs whose converted weights are written to `file`, called `location` in the graphs.

    Args:
        capacity: places of every cache.
        location: name of the file, in the folder of the graphs.
        file: open for writing.
    """

    opset = OPSET
    batch: int | str = "batch"
    cache_dtype: int = HALF
    grouped_attention = False

    def __init__(self, capacity: int, location: str, file: BinaryIO) -> None:
        self.capacity: int | str = capacity
        self._location, self._file = location, file

    def products(self, g: Graph, names: Sequence[str], x: str) -> list[str]:
        """Return x [B, W, cols] times the transpose of each matrix [rows, cols]: [B, W, rows]."""
        return [self._product(g, name, x) for name in names]

    def _product(self, g: Graph, name: str, x: str) -> str:
        half = g.memo.get(("half", x)) or g.shared(("half", x), g.cast(x, HALF))
        rows = g.model.tensors[f"{name}.scale"].shape[0] if g.model.kinds[name] == "q4" else 1
        if rows % 2 == 0:  # two codes of neighbouring rows share a byte
            return self._by_nibbles(g, name, x, half)
        if name == _EMBEDDING:
            weight = g.op("Transpose", self._table(g), perm=[1, 0])
        else:
            weight = self._stored(g, name, lambda: _halves(g, name).T)
        return g.cast(g.op("MatMul", half, weight), FLOAT)

    def embedding_rows(self, g: Graph, tokens: str) -> str:
        """Return the embeddings [..., D] of tokens [...]."""
        return g.cast(g.op("Gather", self._table(g), tokens), FLOAT)

    def _table(self, g: Graph) -> str:
        return self._stored(g, _EMBEDDING, lambda: _halves(g, _EMBEDDING))

    def _by_nibbles(self, g: Graph, name: str, x: str, half: str) -> str:
        codes = self._stored(g, f"{name}.codes", lambda: _signed_nibbles(g, name))
        scales = self._stored(g, f"{name}.scales", lambda: stored_parts(g.model, name)[".scale"].T)
        weight = g.op("DequantizeLinear", codes, scales, axis=0, block_size=BLOCK)
        if is_symmetric(g.model, name):
            return g.cast(g.op("MatMul", half, weight), FLOAT)
        key = ("half block sums", x)
        sums = g.memo.get(key) or g.shared(key, g.cast(block_sums(g, x, name), HALF))
        offsets = self._stored(g, f"{name}.offsets", lambda: _offsets(g, name))
        products = (g.op("MatMul", half, weight), g.op("MatMul", sums, offsets))
        return g.op("Add", *(g.cast(part, FLOAT) for part in products))

    def _stored(self, g: Graph, label: str, make: Any) -> str:
        """Return an initializer, written to the file when a graph first asks for it."""
        key = ("stored", label)
        if key in g.memo:
            return g.memo[key]
        array = np.ascontiguousarray(make())
        shape = (array.shape[0], array.shape[1] * 2) if array.dtype == np.uint8 else array.shape
        tensor = TensorProto(name=label, data_type=_DTYPES[array.dtype.name], dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        for entry, value in (
            ("location", self._location),
            ("offset", self._file.tell()),
            ("length", array.nbytes),
        ):
            tensor.external_data.add(key=entry, value=str(value))
        self._file.write(array.data)
        return g.shared(key, g.initializer(tensor))


def _halves(g: Graph, name: str) -> NDArray[np.float16]:
    values = dequantize(stored_parts(g.model, name), g.model.kinds[name])
    with np.errstate(over="ignore"):
        halves: NDArray[np.float16] = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ModelFormatError(
            "model.safetensors", name, "holds values beyond float16; TensorRT plans use it"
        )
    return halves


def _signed_nibbles(g: Graph, name: str) -> NDArray[np.uint8]:
    """Return codes less 8 as two's complement, [cols, rows / 2]: element 2j of a row in the low nibble."""
    return pack_nibbles(unpack_nibbles(stored_parts(g.model, name)[".q4"]).T ^ np.uint8(_NIBBLE_ZERO))


def _offsets(g: Graph, name: str) -> NDArray[np.float16]:
    """Return min + 8 scale as [blocks, rows]: w = scale (q - 8) + (min + 8 scale)."""
    parts = stored_parts(g.model, name)
    offsets = parts[".min"].astype(np.float32) + _NIBBLE_ZERO * parts[".scale"].astype(np.float32)
    halves: NDArray[np.float16] = offsets.T.astype(np.float16)
    return halves
