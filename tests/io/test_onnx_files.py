"""Damaged graphs: what our reader accepts points to whole stored tensors, and is what ONNX reads there.

Oracle: the package onnx. Where it cannot read a file at all, no runtime opens it either.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mtp_rt import _core_testing
from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir import read_model_dir

onnx = pytest.importorskip("onnx")

FILE = "verify.onnx"
MUTATIONS = 3000


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Return bytes with a few of them changed, cut out, or written twice."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                del data[at : at + chance.randint(1, 40)]
            case 3:
                data[at:at] = data[at : at + chance.randint(1, 200)]
    return bytes(data)


def external(graph: Any) -> Iterator[Any]:
    """Yield every tensor of a graph that says that it lies elsewhere, wherever it stands."""
    for tensor in graph.initializer:
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor
    for node in graph.node:
        for attribute in node.attribute:
            yield from (t for t in [attribute.t, *attribute.tensors] if t.external_data)
            for nested in [attribute.g, *attribute.graphs]:
                yield from external(nested)


def raw(name: str | bytes) -> bytes:
    """Return a name as it stands in the file: protobuf gives bytes where they are no UTF-8."""
    return name if isinstance(name, bytes) else name.encode()


def test_what_is_accepted_is_what_onnx_reads(
    tmp_path: Path, tiny_model: Path, exported: Callable[[Path], Path]
) -> None:
    folder = Path(shutil.copytree(exported(tiny_model), tmp_path / "model"))
    stored = read_model_dir(folder).tensors
    ours = _core_testing.ModelDir.open(str(folder))
    whole = (folder / FILE).read_bytes()
    chance, accepted = random.Random(5), 0
    for _ in range(MUTATIONS):
        data = damaged(whole, chance)
        (folder / FILE).write_bytes(data)
        try:
            weights = ours.graph_weights(FILE)
        except ModelFormatError as error:
            assert error.file == FILE
            continue
        try:
            graph = onnx.ModelProto.FromString(data).graph
        except Exception:  # protobuf's own classes differ from version to version
            continue
        accepted += 1
        read = []
        for tensor in external(graph):
            place = {entry.key: entry.value for entry in tensor.external_data}
            assert place["location"] == "model.safetensors"
            begin = int(place["offset"])
            read.append((raw(tensor.name), begin, begin + int(place["length"]), tuple(tensor.dims)))
        assert read == [
            (name, stored[key].begin, stored[key].end, tuple(shape)) for name, key, _, shape in weights
        ]
    assert accepted > MUTATIONS / 10
