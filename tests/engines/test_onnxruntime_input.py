"""Graphs that are not what they should be: refused by name, before anything runs.

Both forms of the trunk's graph are read in the same way; the engine prefers the one for one sequence.

The graphs are changed with the package onnx, which shares nothing with our reader of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conformance import open_engine
from drafting import TEXT
from driving import feed

from mtp_rt._core import Engine
from mtp_rt.errors import ModelFormatError, UnsupportedError

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

Exported = Callable[[Path], Path]
Change = Callable[[Any], None]
Models = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path, exported: Exported) -> Path:
    return Path(shutil.copytree(exported(tiny_model), tmp_path / "model"))


def opened(folder: Path, threads: int = 1, **options: Any) -> Engine:
    return open_engine("onnxruntime", folder, lambda path: path, threads=threads, **options)


FORMS = ["verify.onnx", "verify.single.onnx"]


def only(folder: Path, form: str) -> None:
    """Leave the trunk's graph in one form."""
    for other in FORMS:
        if other != form:
            (folder / other).unlink()


def changed(folder: Path, change: Change, file: str) -> None:
    graph = onnx.load(folder / file, load_external_data=False)
    change(graph)
    (folder / file).write_bytes(graph.SerializeToString())


def weight(graph: Any) -> Any:
    return next(tensor for tensor in graph.graph.initializer if tensor.external_data)


def place(key: str, value: str) -> Change:
    def change(graph: Any) -> None:
        for entry in weight(graph).external_data:
            if entry.key == key:
                entry.value = value

    return change


def drop_place(key: str) -> Change:
    def change(graph: Any) -> None:
        tensor = weight(graph)
        kept = [entry for entry in tensor.external_data if entry.key != key]
        del tensor.external_data[:]
        tensor.external_data.extend(kept)

    return change


def in_attribute(graph: Any) -> None:
    node = graph.graph.node.add(op_type="Constant", output=["unused"])
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(weight(graph))


def nested(graph: Any) -> None:
    attribute = graph.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    attribute.g.initializer.add().CopyFrom(weight(graph))


def function(graph: Any) -> None:
    graph.functions.add(name="hidden", domain="here")


def twice(graph: Any) -> None:
    graph.graph.initializer.add().CopyFrom(weight(graph))


def unmarked(graph: Any) -> None:
    weight(graph).data_location = onnx.TensorProto.DEFAULT


def name_with_a_zero(graph: Any) -> None:
    weight(graph).name += "\0"


def other_shape(graph: Any) -> None:
    weight(graph).dims[0] += 1


def huge_shape(graph: Any) -> None:
    weight(graph).dims[:] = [2**62, 2**62]


REFUSED: dict[str, tuple[Change, str]] = {
    "another file": (place("location", "weights.bin"), "the only legal place is model.safetensors"),
    "a file outside": (place("location", "../model.safetensors"), "the only legal place"),
    "no location": (drop_place("location"), "lies in 'nowhere'"),
    "inside a tensor": (place("offset", "1"), "points to no tensor of model.safetensors"),
    "behind the end": (place("offset", str(2**62)), "points to no tensor"),
    "too long": (place("length", str(2**63)), "points to no tensor"),
    "a negative offset": (place("offset", "-1"), "offset is '-1'; expected a number of bytes"),
    "no length": (drop_place("length"), "has no length"),
    "a wrong shape": (other_shape, "does not fit the bytes"),
    "a shape that overflows": (huge_shape, "does not fit the bytes"),
    "a type of another size": (lambda g: setattr(weight(g), "data_type", 11), "does not fit the bytes"),
    "in a node": (in_attribute, "though it is no weight"),
    "in a nested graph": (nested, "graphs or sparse tensors inside nodes"),
    "in a function": (function, "functions or training steps"),
    "a name with a zero": (name_with_a_zero, "is no name of a weight"),
    "twice": (twice, "is there twice"),
    "unmarked": (unmarked, "both here and elsewhere"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", REFUSED)
def test_tampered_weights_are_refused(case: str, form: str, folder: Path) -> None:
    change, problem = REFUSED[case]
    only(folder, form)
    changed(folder, change, form)
    with pytest.raises(ModelFormatError, match=f"^{form}: .*{problem}"):
        opened(folder)


def unknown_operator(graph: Any) -> None:
    graph.graph.node[0].op_type = "Conjure"


def future_opset(graph: Any) -> None:
    graph.opset_import[0].version = 99


def other_name(graph: Any) -> None:
    graph.graph.input.add().CopyFrom(
        onnx.helper.make_tensor_value_info("surprise", onnx.TensorProto.FLOAT, [1])
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [(unknown_operator, "Conjure"), (future_opset, "opset"), (other_name, "has the input 'surprise'")],
)
@pytest.mark.parametrize("form", FORMS)
def test_graphs_that_cannot_run_are_refused(change: Change, problem: str, form: str, folder: Path) -> None:
    only(folder, form)
    changed(folder, change, form)
    with pytest.raises(ModelFormatError, match=f"^{form}: .*{problem}"):
        opened(folder)


def test_graphs_of_another_model_are_refused(
    folder: Path, exported: Exported, variant: Callable[[str], Path], exported_f32_heads: Models
) -> None:
    for form in reversed(FORMS):
        shutil.copy(exported_f32_heads("medusa") / form, folder)
        with pytest.raises(ModelFormatError, match=f"^{form}: .*points to no tensor of model.safetensors"):
            opened(folder)
        (folder / form).unlink()


def test_missing_graphs_are_named(tmp_path: Path, tiny_model: Path, exported_f32_heads: Models) -> None:
    with pytest.raises(ModelFormatError, match=r"verify.onnx: is missing; .* mtp-rt export"):
        opened(tiny_model)
    folder = Path(shutil.copytree(exported_f32_heads("hydra"), tmp_path / "hydra"))
    (folder / "draft_2.onnx").unlink()
    with pytest.raises(ModelFormatError, match=r"draft_2.onnx: is missing"):
        opened(folder)
    shutil.copy(folder / "verify.onnx", folder / "draft_2.onnx")
    with pytest.raises(ModelFormatError, match=r"draft_2.onnx: has the input .* export again"):
        opened(folder)


def test_damaged_bytes_never_crash(folder: Path) -> None:
    """Cut anywhere, or with a byte changed, a graph is refused or what it was."""
    only(folder, "verify.onnx")
    whole = (folder / "verify.onnx").read_bytes()
    for i in range(60):
        at = i * len(whole) // 60
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            (folder / "verify.onnx").write_bytes(damaged)
            try:
                opened(folder)
            except (ModelFormatError, UnsupportedError) as error:
                assert "verify.onnx" in str(error)


def test_linked_folders_open(folder: Path, tmp_path: Path) -> None:
    """As hub caches have them: every file a link to a file of another name elsewhere."""
    links = tmp_path / "snapshot"
    links.mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = file.rename(tmp_path / f"blob{number}")
        (links / file.name).symlink_to(blob)
    feed(opened(links), 0, TEXT)
