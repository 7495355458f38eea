"""A GPU that is none: "plans" name the graphs of the same directory, which plain onnxruntime runs.

Caches hold float32 and are declared float16, as those of plans are: the engine never looks into them, so its
numbers are those of the graphs and compare with the native engine's as closely as ONNX Runtime's do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtp_rt import _core_testing
from mtp_rt._core import Engine
from mtp_rt.errors import EngineError
from mtp_rt.model_dir import read_model_dir

GPU = ("A GPU of the tests", "9.0")
_TYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(bool)": "bool"}
_UNWRITTEN = 1e4  # what free places of caches hold

Array = NDArray[Any]


def write_plans(exported: Path, out: Path, contexts: Sequence[int] | None = None) -> None:
    """Copy a directory with graphs and add plans, as the export does with a builder of ours."""
    from mtp_rt.export.tensorrt import plans
    from mtp_rt.export.tensorrt.buckets import shapes_of
    from mtp_rt.export.tensorrt.library import Gpu, Library
    from mtp_rt.export.tensorrt.plan import Plan

    class Builder:
        timing_cache = b""

        def __init__(self, *_: Any) -> None: ...

        def build(self, file: Path, graph: object, buckets: object) -> Plan:
            return Plan(memoryview(file.name.encode()), {}, [])

    shutil.copytree(exported, out)
    library = Library("tensorrt", "10.15.1.29", SimpleNamespace(), Gpu(*GPU))
    model = read_model_dir(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "Builder", Builder)
        files = plans.plans_of(model, library, shapes_of(model.config, contexts, 2), None, None)
    for name, content in files.items():
        (out / name).write_bytes(content)


class Caches:
    """Matrices [slots, heads, places, head_dim]."""

    def __init__(self, matrices: int, slots: int, heads: int, places: int, head_dim: int) -> None:
        shape = (matrices, slots, heads, places, head_dim)
        self.values = np.full(shape, _UNWRITTEN, np.float32)

    def keep(self, slot: int, base: int, offsets: Sequence[int]) -> None:
        for i, offset in enumerate(offsets):
            self.values[:, slot, :, base + i] = self.values[:, slot, :, base + offset]


class Plan:
    """A graph with the shapes that the record's profiles allow."""

    def __init__(self, path: Path, entry: dict[str, Any], caches: Sequence[tuple[str, str]]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # past and present are not shared here, which is warned about
        self.session = onnxruntime.InferenceSession(path, options)
        self.entry, self.caches = entry, caches
        self.calls: list[dict[str, int]] = []
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self.tensors = [self._declared(node, node in inputs) for node in (*inputs, *outputs)]

    def _declared(self, node: Any, is_input: bool) -> tuple[str, bool, str, list[int]]:
        shape = [size if isinstance(size, int) else -1 for size in node.shape]
        if "past." in node.name or "present." in node.name:
            return node.name, is_input, "float16", [-1, shape[1], self.entry["capacity"], shape[3]]
        return node.name, is_input, _TYPES[node.type], shape

    def run(
        self,
        profile: int,
        inputs: dict[str, tuple[list[int], bytes]],
        wanted: list[str],
        caches: Caches | None,
        slots: tuple[int, int],
    ) -> list[bytes]:
        """`slots`: the first of a call's neighbours, and how many they are."""
        types = {name: type_ for name, _, type_, _ in self.tensors}
        feed: dict[str, Array] = {
            name: np.frombuffer(data, types[name]).reshape(shape) for name, (shape, data) in inputs.items()
        }
        first, batch = slots
        self._check(profile, feed, batch)
        place = slice(first, first + batch)
        for matrix, (past, _) in enumerate(self.caches):
            assert caches is not None
            feed[past] = caches.values[matrix, place]
        present = [name for _, name in self.caches]
        made = self.session.run([*wanted, *present], feed)
        for matrix, values in enumerate(made[len(wanted) :]):
            assert caches is not None
            caches.values[matrix, place] = values
        return [values.tobytes() for values in made[: len(wanted)]]

    def _check(self, profile: int, feed: dict[str, Array], batch: int) -> None:
        """Raise what TensorRT would of shapes that a profile does not hold."""
        first = feed.get("tokens", feed.get("state"))
        assert first is not None
        sizes = {"batch": first.shape[0], "width": first.shape[1]}
        if "rows" in feed:
            sizes["rows"] = feed["rows"].shape[1]
        self.calls.append(sizes)
        for name, size in sizes.items():
            least, _, most = self.entry["profiles"][profile][name]
            if not least <= size <= most or sizes["batch"] != batch:
                raise EngineError(f"{self.entry['file']}: {name} {size} is outside profile {profile}")


class PlanDevice:
    """What the CUDA part offers the engine; the interface is cpp/src/engines/cuda/plans.h."""

    def __init__(self, folder: Path, compute_capability: str = GPU[1]) -> None:
        self.name, self.compute_capability = GPU[0], compute_capability
        record = json.loads((folder / "tensorrt.json").read_bytes())
        self._folder = folder
        self._entries = {entry["file"]: entry for entry in record["plans"]}
        self.plans: dict[str, Plan] = {}

    def make_caches(self, *shape: int) -> Caches:
        return Caches(*shape)

    def open_plan(self, file: str, plan: bytes, caches: list[tuple[str, str]]) -> Plan:
        self.plans[file] = Plan(self._folder / plan.decode(), self._entries[file], caches)
        return self.plans[file]


def open_plans(folder: Path, **options: Any) -> Engine:
    """Open a directory that write_plans() made."""
    options.pop("threads", None)
    engine: Engine = _core_testing.open_plans(PlanDevice(folder), str(folder), **options)
    return engine
