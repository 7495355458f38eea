"""Whether exported graphs are what they should be: well formed, and without weights of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, TensorProto

from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir import ModelDir, read_model_dir
from mtp_rt.model_dir.safetensors import WEIGHTS_FILE


@dataclass(frozen=True)
class GraphFacts:
    """What a graph file holds and points to.

    Attributes:
        inputs, outputs: their names.
        operators: how many nodes there are of each kind, by "domain.Kind" or "Kind".
        embedded_bytes: of constants inside the file.
        weights: stored tensors that it points to, sorted.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    embedded_bytes: int
    weights: tuple[str, ...]


def check_structure(graph: ModelProto, file: str, model: ModelDir) -> GraphFacts:
    """Check a graph against the specification of ONNX, and the weights that it points to.

    Every external initializer is exactly one tensor of model.safetensors: its range, its number of elements.

    Raises:
        ModelFormatError: it is not so.
    """
    try:
        onnx.checker.check_model(_with_weights_as_inputs(graph), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelFormatError(file, "", f"is not a valid ONNX graph: {error}") from None
    names = {(stored.begin, stored.end): name for name, stored in model.tensors.items()}
    weights, embedded = set(), 0
    for tensor in graph.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            embedded += tensor.ByteSize()
            continue
        weights.add(_pointed_to(tensor, file, names, model))
    operators: dict[str, int] = {}
    for node in graph.graph.node:
        kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        operators[kind] = operators.get(kind, 0) + 1
    return GraphFacts(
        tuple(value.name for value in graph.graph.input),
        tuple(value.name for value in graph.graph.output),
        operators,
        embedded,
        tuple(sorted(weights)),
    )


def check_files(path: str | Path) -> dict[str, GraphFacts]:
    """Check every graph of a model directory, by file name.

    Raises:
        ModelFormatError: the directory or a graph is damaged, or it has no graph.
    """
    model = read_model_dir(path)
    files = sorted(model.path.glob("*.onnx"))
    if not files:
        raise ModelFormatError(str(path), "", "holds no graphs; write them with mtp-rt export --onnx")
    facts = {}
    for file in files:
        try:
            graph = onnx.load(file, load_external_data=False)
        except Exception as error:  # protobuf and onnx raise many kinds
            raise ModelFormatError(file.name, "", f"is not a valid ONNX graph: {error}") from None
        facts[file.name] = check_structure(graph, file.name, model)
    return facts


def _with_weights_as_inputs(graph: ModelProto) -> ModelProto:
    """Return the graph without external data, which onnx would look for, and refuse where files are links."""
    bare = ModelProto()
    bare.CopyFrom(graph)
    weights = [tensor for tensor in bare.graph.initializer if tensor.data_location == TensorProto.EXTERNAL]
    for tensor in weights:
        bare.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
        bare.graph.initializer.remove(tensor)
    return bare


def _pointed_to(tensor: Any, file: str, names: Mapping[tuple[int, int], str], model: ModelDir) -> str:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if entries.get("location") != WEIGHTS_FILE:
        problem = f"lies in {entries.get('location')!r}; the only legal place is {WEIGHTS_FILE}"
        raise ModelFormatError(file, tensor.name, problem)
    try:
        begin = int(entries["offset"])
        name = names[begin, begin + int(entries["length"])]
    except (KeyError, ValueError):
        problem = f"points to no tensor of {WEIGHTS_FILE}: the graph was made for other weights; export again"
        raise ModelFormatError(file, tensor.name, problem) from None
    count, stored = math.prod(tensor.dims), math.prod(model.tensors[name].shape)
    if count != stored:
        problem = f"has {count} elements; {name} has {stored}"
        raise ModelFormatError(file, tensor.name, problem)
    return name
