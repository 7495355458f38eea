"""Writes an ONNX graph node by node; weights are external data inside model.safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mtp_rt.model_dir import ModelDir
from mtp_rt.model_dir.safetensors import WEIGHTS_FILE

OPSET = 24  # the first with TensorScatter
MICROSOFT_OPSET = 1
IR_VERSION, OLDER_IR_VERSION = 11, 10
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
INT32, INT64, BOOL = TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL
MICROSOFT = "com.microsoft"

_DTYPES = {
    "F32": TensorProto.FLOAT,
    "F16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "I32": TensorProto.INT32,
    "I8": TensorProto.INT8,
    "U8": TensorProto.UINT8,
}
Shape = Sequence[int | str]  # a name is a symbolic dimension


class Form(Protocol):
    """How a graph says what one runtime wants said differently from the portable form.

    Attributes:
        opset: of the operators; see mtp_rt.export.operators.
        batch: sequences of every call; a name: the call decides.
        capacity: places of every cache; a name: the call decides.
        cache_dtype: of keys and values.
        grouped_attention: rows attend to their cache by one GroupQueryAttention.
    """

    opset: int
    batch: int | str
    capacity: int | str
    cache_dtype: int
    grouped_attention: bool

    def products(self, g: Graph, names: Sequence[str], x: str) -> list[str]:
        """Return x [B, W, cols] times the transpose of each matrix [rows, cols]: [B, W, rows]."""
        ...

    def embedding_rows(self, g: Graph, tokens: str) -> str:
        """Return the embeddings [..., D] of tokens [...] of two dimensions."""
        ...


class Graph:
    """One graph under construction. Values are known by their names.

    Args:
        name: of the graph.
        model: whose weights it computes with.
        form: how what differs between runtimes is said.
    """

    def __init__(self, name: str, model: ModelDir, form: Form) -> None:
        self.name = name
        self.model = model
        self.config = model.config
        self.form = form
        self.opset = form.opset
        self.batch = form.batch
        self.capacity = form.capacity
        self.cache_dtype = form.cache_dtype
        self.memo: dict[tuple[str, ...], str] = {}  # values that several parts of the graph share
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._initializers: dict[str, TensorProto] = {}
        self._renamed: dict[str, str] = {}

    def input(self, name: str, dtype: int, shape: Shape) -> str:
        """Declare an input and return its name."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, self._sized(shape)))
        return name

    def output(self, name: str, value: str, dtype: int, shape: Shape) -> None:
        """Declare that `value` leaves the graph as `name`.

        It is renamed, not copied by a node: a runtime may then write present caches into past ones.
        """
        assert value not in self._renamed
        self._renamed[value] = name
        self._outputs.append(helper.make_tensor_value_info(name, dtype, self._sized(shape)))

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        return self.op_with(kind, 1, *inputs, domain=domain, **attributes)[0]

    def op_with(
        self, kind: str, outputs: int, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs and return their names."""
        name = f"{kind}_{len(self._nodes)}"
        names = [name, *(f"{name}.{index}" for index in range(1, outputs))]
        self._nodes.append(helper.make_node(kind, inputs, names, name=name, domain=domain, **attributes))
        return names

    def constant(self, values: ArrayLike, dtype: DTypeLike = np.int64) -> str:
        """Return a small constant; equal ones are stored once."""
        array = np.asarray(values, dtype)
        name = f"constant_{array.dtype}_{list(array.shape)}_{array.tobytes().hex()}"
        if len(name) > 80:
            name = f"constant_{len(self._initializers)}"
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str, *, dtype: str | None = None, shape: Sequence[int] | None = None) -> str:
        """Return a stored tensor as external data, seen in its own or another dtype of one size."""
        stored = self.model.tensors[name]
        seen = stored.dtype if dtype is None else dtype
        label = name if dtype is None else f"{name}:{dtype}"
        if label not in self._initializers:
            tensor = TensorProto(name=label, data_type=_DTYPES[seen], dims=shape or stored.shape)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", WEIGHTS_FILE),
                ("offset", stored.begin),
                ("length", stored.end - stored.begin),
            ):
                tensor.external_data.add(key=key, value=str(value))
            self._initializers[label] = tensor
        return label

    def initializer(self, tensor: TensorProto) -> str:
        """Add a tensor, once for each name, and return its name."""
        return self._initializers.setdefault(tensor.name, tensor).name

    def shared(self, key: tuple[str, ...], value: str) -> str:
        """Remember `value` for later calls of `memo.get(key)` and return it."""
        self.memo[key] = value
        return value

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Reshape; 0 keeps a dimension, -1 is what remains."""
        return self.op("Reshape", x, self.constant(shape))

    def cast(self, x: str, dtype: int) -> str:
        """Convert to another element type."""
        return self.op("Cast", x, to=dtype)

    def size(self, x: str, axis: int) -> str:
        """Return the size [1] of an axis, counted from the front."""
        return self.op("Shape", x, start=axis, end=axis + 1)

    def count(self, size: str) -> str:
        """Return 0, 1, ... size - 1; `size` is [1]."""
        end = self.op("Squeeze", size, self.constant([0]))
        return self.op("Range", self.constant(0), end, self.constant(1))

    def unsqueeze(self, x: str, *axes: int) -> str:
        """Insert axes of size 1."""
        return self.op("Unsqueeze", x, self.constant(axes))

    def _sized(self, shape: Shape) -> list[int | str]:
        return [self.batch if size == "batch" else size for size in shape]

    def build(self) -> ModelProto:
        """Return the finished model, caches behind its other inputs and outputs."""
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [self._renamed.get(name, name) for name in names]
        inputs, outputs = (
            sorted(values, key=lambda value: ".key" in value.name or ".value" in value.name)
            for values in (self._inputs, self._outputs)
        )
        graph = helper.make_graph(self._nodes, self.name, inputs, outputs, list(self._initializers.values()))
        domains = {"": self.opset} | ({MICROSOFT: MICROSOFT_OPSET} if self._uses_microsoft() else {})
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in domains.items()],
            ir_version=IR_VERSION if self.opset >= OPSET else OLDER_IR_VERSION,
            producer_name="mtp-rt",
        )

    def _uses_microsoft(self) -> bool:
        return any(node.domain == MICROSOFT for node in self._nodes)
