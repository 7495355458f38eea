"""What an exported directory holds: weights once, in place, whole or not at all, readable by everyone."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_models import Runner

from mtp_rt import LLM, SamplingParams
from mtp_rt.convert.quantize import dequantize
from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.export.check import check_files
from mtp_rt.export.exporter import export_model
from mtp_rt.export.requantize import stored_parts
from mtp_rt.model_dir import read_model_dir, whole
from tiny_model.heads import PRESETS
from tiny_model.variants import VARIANTS, stored_values

Models = Callable[..., Path]
Export = Callable[[Path], Path]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_weight_is_stored_once_and_used(preset: str, tiny_with_heads: Models, exported: Export) -> None:
    source = tiny_with_heads(preset)
    target = exported(source)
    facts = check_files(target)
    model = read_model_dir(target)
    assert (target / "model.safetensors").stat().st_size == (source / "model.safetensors").stat().st_size
    assert {name: bytes(model.tensor(name)) for name in model.tensors} == {
        name: bytes(read_model_dir(source).tensor(name)) for name in model.tensors
    }
    trunk = {name for name in model.tensors if not name.startswith("heads.") or "fuse" in name}
    assert set(facts["verify.onnx"].weights) == trunk
    assert set(facts["all_heads.onnx"].weights) == set(model.tensors)
    drafted = {name for file, fact in facts.items() if file.startswith("draft") for name in fact.weights}
    assert {name for name in model.tensors if name.startswith("heads.") and "fuse" not in name} <= drafted


def test_graphs_hold_tables_of_angles_and_little_else(variant: Models, exported: Export) -> None:
    for name in ("one_stage", "f32"):
        target = exported(variant(name))
        config = read_model_dir(target).config
        tables = 2 * 4 * (256 + (config.context + 15) // 256 + 1) * (config.head_dim // 2)
        for fact in check_files(target).values():
            assert tables < fact.embedded_bytes < tables + 2000


@pytest.mark.parametrize("name", VARIANTS)
def test_onnx_itself_accepts_the_files(name: str, variant: Models, exported: Export) -> None:
    for file in ("verify.onnx", "verify.single.onnx"):
        onnx.checker.check_model(exported(variant(name)) / file, full_check=True)


def hub_cache(source: Path, root: Path) -> Path:
    """The layout of a hub's cache: a snapshot of links to blobs named by hash."""
    snapshot, blobs = root / "snapshots" / "abc", root / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in source.iterdir():
        blob = blobs / sha256(path)
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def hard_links(source: Path, root: Path) -> Path:
    root.mkdir()
    for path in source.iterdir():
        os.link(path, root / path.name)
    return root


def linked_folder(source: Path, root: Path) -> Path:
    root.symlink_to(source)
    return root


@pytest.mark.parametrize("layout", [shutil.copytree, hub_cache, hard_links, linked_folder])
def test_linked_folders_open_as_plain_ones(
    layout: Callable[[Path, Path], Path], tmp_path: Path, tiny_with_heads: Models, exported: Export
) -> None:
    plain = exported(tiny_with_heads("recurrent"))
    folder = layout(plain, tmp_path / "there")
    assert check_files(folder) == check_files(plain)
    for file in ("verify.onnx", "draft.onnx"):
        onnxruntime.InferenceSession(folder / file)
    got, want = (Runner(path / "all_heads.onnx").chain([[5, 6, 7]], [0]) for path in (folder, plain))
    np.testing.assert_array_equal(got["draft_logits"], want["draft_logits"])


def test_readers_and_the_engine_take_a_directory_with_graphs(tiny_model: Path, exported: Export) -> None:
    params = SamplingParams(max_tokens=12)
    want = LLM(str(tiny_model)).generate("def main", params).token_ids
    assert LLM(str(exported(tiny_model))).generate("def main", params).token_ids == want


def test_other_files_are_carried_along_and_old_graphs_are_not(tmp_path: Path, tiny_model: Path) -> None:
    source = Path(shutil.copytree(tiny_model, tmp_path / "source"))
    (source / "verify.onnx").write_bytes(b"of other weights")
    export_model(source, tmp_path / "out", quantize="q8")
    assert set(contents(tmp_path / "out")) == set(contents(tiny_model))
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()


def test_a_directory_may_become_its_own_export(tmp_path: Path, tiny_model: Path) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    with pytest.raises(ArgumentError, match="is not empty"):
        export_model(model, model, onnx=True)
    assert contents(model) == contents(tiny_model)
    export_model(model, model, onnx=True, replace=True)
    assert set(contents(model)) == {*contents(tiny_model), "verify.onnx", "verify.single.onnx"}
    assert sha256(model / "model.safetensors") == sha256(tiny_model / "model.safetensors")


@pytest.mark.parametrize("failing", range(6))
def test_a_disk_that_fills_leaves_nothing_behind(
    failing: int, tmp_path: Path, tiny_with_heads: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th file cannot be flushed: config, texts, weights and graphs in turn."""
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1 + 2 * failing:
            raise OSError(errno.ENOSPC, "No space left on device")

    source = tiny_with_heads("deepseek")
    monkeypatch.setattr(whole.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        export_model(source, tmp_path / "out", onnx=True)
    assert list(tmp_path.iterdir()) == []


def test_requantised_weights_are_those_of_the_quantiser(tmp_path: Path, variant: Models) -> None:
    export_model(variant("f32"), tmp_path / "out", quantize="q4", lm_head="bf16", onnx=True)
    model, values = read_model_dir(tmp_path / "out"), stored_values(read_model_dir(variant("f32")))
    assert {model.kinds[name] for name in model.kinds if ".layers." in name} == {"q4"}
    assert model.kinds["model.embed_tokens.weight"] == "bf16"
    assert model.config.quantization == {"layers": "q4", "lm_head": "bf16"}
    for name in model.kinds:
        restored = dequantize(stored_parts(model, name), model.kinds[name])
        assert np.abs(restored - values[name]).max() <= np.ptp(values[name]) / 15


def test_output_matrices_of_heads_are_requantised_as_the_trunks(
    tmp_path: Path, tiny_with_heads: Models
) -> None:
    source = tiny_with_heads("medusa-own", unembed=("q8", "f32", "q4"))
    for quantize, lm_head, said in (
        ("bf16", "q4", {"heads": "bf16", "unembed": "q4"}),
        ("bf16", None, {"heads": "bf16", "unembed": "mixed"}),
        (None, "q8", {"heads": "q4", "unembed": "q8"}),
    ):
        export_model(source, tmp_path / "out", quantize=quantize, lm_head=lm_head, replace=True)
        model = read_model_dir(tmp_path / "out")
        heads = model.config.extra_heads
        assert heads is not None and heads.quantization == said
        own = [model.kinds[f"heads.{m}.unembed.weight"] for m in range(3)]
        assert own == ([lm_head] * 3 if lm_head else ["q8", "f32", "q4"])
        assert model.kinds["heads.0.mlp.up_proj.weight"] == said["heads"]


def tampered(graph: Any, **changes: str) -> None:
    """Change an entry of the first external weight."""
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.external_data)
    for entry in tensor.external_data:
        entry.value = changes.get(entry.key, entry.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"location": "../secret"}, "the only legal place"),
        ({"location": "/etc/passwd"}, "the only legal place"),
        ({"offset": "1"}, "points to no tensor"),
        ({"length": "99999999999"}, "points to no tensor"),
        ({"offset": "many"}, "points to no tensor"),
    ],
)
def test_a_tampered_graph_is_refused(
    changes: dict[str, str], problem: str, tmp_path: Path, tiny_model: Path, exported: Export
) -> None:
    folder = Path(shutil.copytree(exported(tiny_model), tmp_path / "model"))
    graph = onnx.load(folder / "verify.onnx", load_external_data=False)
    tampered(graph, **changes)
    (folder / "verify.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ModelFormatError, match=problem) as caught:
        check_files(folder)
    assert caught.value.file == "verify.onnx"


def test_a_damaged_graph_is_refused(tmp_path: Path, tiny_model: Path, exported: Export) -> None:
    folder = Path(shutil.copytree(exported(tiny_model), tmp_path / "model"))
    whole_file = (folder / "verify.onnx").read_bytes()
    for damaged in (b"", whole_file[: len(whole_file) // 2], b"\xff" * 100):
        (folder / "verify.onnx").write_bytes(damaged)
        with pytest.raises(ModelFormatError, match=r"verify\.onnx"):
            check_files(folder)
    for file in folder.glob("*.onnx"):
        file.unlink()
    with pytest.raises(ModelFormatError, match="holds no graphs"):
        check_files(folder)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "nothing to export"),
        ({"quantize": "q5"}, "'q5' is not a kind"),
        ({"lm_head": "q2"}, "not a kind"),
    ],
)
def test_options_are_checked_first(
    options: dict[str, Any], problem: str, tmp_path: Path, tiny_model: Path
) -> None:
    with pytest.raises(ArgumentError, match=problem):
        export_model(tiny_model, tmp_path / "out", **options)
    assert json.loads((tiny_model / "config.json").read_text())
    assert not (tmp_path / "out").exists()
