"""Which TensorRT layers the parser made of which ONNX operators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from onnx import ModelProto

Operators = dict[str, dict[str, int]]  # ONNX operator -> TensorRT layer -> how many

# Operators that have a layer of their own; anything else in its place computes the same more slowly.
CACHE_WRITE = "TensorScatter"
OWN_LAYERS = {
    CACHE_WRITE: "KV_CACHE_UPDATE",
    "Attention": "ATTENTION_OUTPUT",
    "RotaryEmbedding": "ROTARY_EMBEDDING",
    "MatMul": "MATRIX_MULTIPLY",
    "DequantizeLinear": "DEQUANTIZE",
}
HELPERS = "(none)"  # layers that the parser adds around an operator, which name none

_SOURCE = re.compile(r"\[ONNX Layer: (?P<node>[^\]]+)\]")


def operator_mapping(graph: ModelProto, network: Any) -> Operators:
    """Return the layers of a parsed network by the operator that they were made of."""
    kinds = {node.name: node.op_type for node in graph.graph.node}
    mapping: Operators = {kind: {} for kind in sorted(set(kinds.values()))}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        source = _SOURCE.search(layer.metadata or "")
        kind = kinds.get(source["node"], HELPERS) if source else HELPERS
        layers = mapping.setdefault(kind, {})
        layers[layer.type.name] = layers.get(layer.type.name, 0) + 1
    return mapping


def fallbacks(graph: ModelProto, mapping: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return what became something else than the layer of its own, as "3 of 60 TensorScatter"."""
    counts = dict.fromkeys(OWN_LAYERS, 0)
    for node in graph.graph.node:
        if node.op_type in counts:
            counts[node.op_type] += 1
    made = {kind: mapping.get(kind, {}).get(layer, 0) for kind, layer in OWN_LAYERS.items()}
    short = [
        f"{counts[kind] - made[kind]} of {counts[kind]} {kind}"
        for kind in counts
        if made[kind] < counts[kind]
    ]
    plugins = sum(
        number for layers in mapping.values() for layer, number in layers.items() if "PLUGIN" in layer
    )
    return short + ([f"{plugins} plugins"] if plugins else [])
