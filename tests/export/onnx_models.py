"""Exported graphs run by plain onnxruntime, with as little code around them as a user's program has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[Any]


class Runner:
    """One graph and the caches of a batch of sequences. Places of the caches start as zeros."""

    def __init__(self, path: Path, *, batch: int = 1, capacity: int = 40, optimize: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # run() below does not share past and present, which is warned about
        self.session = onnxruntime.InferenceSession(path, options)
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.caches: dict[str, Array] = {
            node.name: np.zeros((batch, node.shape[1], capacity, node.shape[3]), np.float32)
            for node in self.session.get_inputs()
            if "past." in node.name
        }

    def run(self, **inputs: Any) -> dict[str, Array]:
        """Return all outputs; present keys and values become past ones."""
        values = self.session.run(self.outputs, {**inputs, **self.caches})
        outputs = dict(zip(self.outputs, values, strict=True))
        for name in self.caches:
            self.caches[name] = outputs.pop(name.replace("past.", "present."))
        return outputs

    def chain(self, tokens: Any, lengths: Any, rows: Any = None) -> dict[str, Array]:
        """Run a trunk's graph over tokens [B, W] that follow each other; `rows` [B, R], all by default."""
        tokens, lengths = np.asarray(tokens, np.int64), np.asarray(lengths, np.int64)
        batch, width = tokens.shape
        every = np.broadcast_to(np.arange(width), tokens.shape)
        return self.run(
            tokens=tokens,
            positions=lengths[:, None] + every,
            lengths=lengths,
            tree=np.broadcast_to(np.tril(np.ones((width, width), bool)), (batch, width, width)),
            rows=every if rows is None else np.asarray(rows, np.int64),
        )
