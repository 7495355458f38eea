"""A graph of an exported model and its caches, for one sequence."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


class Graph:
    """Runs one .onnx file. Past and present caches are one buffer: a run adds its rows."""

    def __init__(self, file: Path, capacity: int) -> None:
        self.session = onnxruntime.InferenceSession(file)
        self.binding = self.session.io_binding()
        for node in self.session.get_inputs():
            if "past." in node.name:
                empty = np.zeros((1, node.shape[1], capacity, node.shape[3]), np.float32)
                cache = onnxruntime.OrtValue.ortvalue_from_numpy(empty)
                self.binding.bind_ortvalue_input(node.name, cache)
                self.binding.bind_ortvalue_output(node.name.replace("past.", "present."), cache)
        self.outputs = [node.name for node in self.session.get_outputs() if "present." not in node.name]

    def run(self, **inputs: Any) -> dict[str, Any]:
        """Return the outputs, caches left out, by name."""
        for name, value in inputs.items():
            self.binding.bind_cpu_input(name, np.ascontiguousarray(value))
        for name in self.outputs:
            self.binding.bind_output(name)
        self.session.run_with_iobinding(self.binding)
        values = self.binding.get_outputs()[-len(self.outputs) :]
        return {name: value.numpy() for name, value in zip(self.outputs, values, strict=True)}

    def run_chain(self, tokens: list[int], length: int, rows: list[int]) -> dict[str, Any]:
        """Run tokens that follow `length` committed ones; outputs of `rows` of them are wanted."""
        width = len(tokens)
        return self.run(
            tokens=np.array([tokens]),
            positions=np.arange(length, length + width)[None],
            lengths=np.array([length]),
            tree=np.tril(np.ones((1, width, width), bool)),
            rows=np.array([rows]),
        )
