"""Graphs in TensorRT's form, run by onnxruntime: half precision costs little, 4-bit weights nothing more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx_models import Runner

from mtp_rt.export.graphs.draft import draft_graph
from mtp_rt.export.graphs.trunk import verify_graph
from mtp_rt.export.tensorrt.form import TensorRtForm
from mtp_rt.model_dir import read_model_dir
from reference import Reference
from reference_heads import HeadsReference

CAPACITY = 40
TEXT = [5, 17, 3, 250, 99, 31, 8, 77, 140, 2, 64]
HALF_STEP = 2.0**-11  # relative rounding error of float16

Models = Callable[..., Path]


@pytest.fixture(scope="module")
def in_form(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function: model directory -> folder with verify.onnx and draft.onnx in TensorRT's form."""

    def write(source: Path) -> Path:
        folder, model = tmp_path_factory.mktemp("form"), read_model_dir(source)
        shutil.copy(source / "model.safetensors", folder)
        with (folder / "converted.bin").open("wb") as file:
            form = TensorRtForm(CAPACITY, "converted.bin", file)
            graphs = {"verify.onnx": verify_graph(model, form)}
            if model.config.extra_heads is not None:
                graphs["draft.onnx"] = draft_graph(model, 0, form)
        for name, graph in graphs.items():
            (folder / name).write_bytes(graph.SerializeToString())
        return folder

    return write


def error(got: Any, want: Any) -> float:
    """Largest difference, measured by the largest value."""
    want = np.asarray(want)
    return float(np.abs(got - want).max() / np.abs(want).max())


@pytest.mark.parametrize(
    "name", ["f32", "bf16", "one_stage", "q4_head", "odd_vocabulary_q4", "untied", "half_rope", "head_dim_64"]
)
def test_the_trunk_is_off_by_rounding_to_half_alone(name: str, variant: Models, in_form: Any) -> None:
    path = variant(name)
    want = Reference(path).run(TEXT)
    runner = HalfRunner(in_form(path) / "verify.onnx")
    got = runner.chain([TEXT], [0])
    assert 0 < error(got["logits"][0], want.logits) < 16 * HALF_STEP
    assert 0 < error(got["state"][0], want.states) < 16 * HALF_STEP


class HalfRunner(Runner):
    """Caches of fixed capacity in float16. Runs node by node: a fused 4-bit product rounds its inputs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, capacity=CAPACITY, optimize=False)
        self.caches = {name: cache.astype(np.float16) for name, cache in self.caches.items()}


def test_a_prompt_in_chunks_gives_what_one_call_gives(variant: Models, in_form: Any) -> None:
    file = in_form(variant("one_stage")) / "verify.onnx"
    whole, runner = HalfRunner(file).chain([TEXT], [0])["logits"], HalfRunner(file)
    parts = [runner.chain([TEXT[a:b]], [a])["logits"] for a, b in ((0, 4), (4, 5), (5, 11))]
    assert error(np.concatenate(parts, axis=1), whole) < 8 * HALF_STEP


@pytest.mark.parametrize("preset", ["recurrent", "fastmtp", "causal", "gloeckle-linear", "medusa-own"])
def test_heads_draft_what_the_reference_scores(preset: str, tiny_with_heads: Models, in_form: Any) -> None:
    path = tiny_with_heads(preset)
    reference, heads = HeadsReference(path), read_model_dir(path).config.extra_heads
    assert heads is not None
    first = 123
    trunk = reference.run(TEXT)
    want = reference.scores(
        [*TEXT, first], [0] * heads.count, trunk.states, trunk.taps.transpose(0, 1)
    ).numpy()
    state = np.asarray(trunk.states, np.float32)[None]
    inputs: dict[str, NDArray[Any]] = {"state": state if heads.body == "block" else state[:, -1:]}
    if heads.wiring == "sequential":
        tokens = np.array([[*TEXT[1:], first]])
        inputs["tokens"] = tokens if heads.body == "block" else tokens[:, -1:]
    if heads.body == "block":
        inputs |= {"lengths": np.array([0]), "rows": np.array([[len(TEXT) - 1]])}
    got = HalfRunner(in_form(path) / "draft.onnx").run(**inputs)["logits"][0, 0]
    assert 0 < error(got, want[0] if heads.wiring == "sequential" else want) < 16 * HALF_STEP


def test_the_form_is_of_standard_operators_and_holds_no_weights(variant: Models, in_form: Any) -> None:
    folder = in_form(variant("one_stage"))
    graph = onnx.load(folder / "verify.onnx", load_external_data=False)
    assert {node.domain for node in graph.graph.node} == {""}
    types = {tensor.data_type for tensor in graph.graph.initializer if tensor.external_data}
    assert onnx.TensorProto.INT4 in types
    caches = [value for value in graph.graph.input if ".key" in value.name]
    assert all(value.type.tensor_type.shape.dim[2].dim_value == CAPACITY for value in caches)
    onnx.checker.check_model(folder / "verify.onnx", full_check=True)
