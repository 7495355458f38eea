"""Plans built by an installed TensorRT-RTX, which needs no GPU, and what is said where none can be built."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mtp_rt import _core_testing
from mtp_rt.errors import ArgumentError, EngineError, UnsupportedError
from mtp_rt.export.exporter import TensorRtOptions, export_model
from mtp_rt.export.tensorrt import library, plan, plans
from mtp_rt.export.tensorrt.buckets import capacity, shapes_of
from mtp_rt.export.tensorrt.mapping import fallbacks
from mtp_rt.model_dir import carried_files, read_model_dir, whole

HAS_RTX = any(importlib.util.find_spec(name) for name in ("tensorrt_rtx", "tensorrt_rtx_bindings"))
needs_rtx = pytest.mark.skipif(not HAS_RTX, reason="needs tensorrt_rtx (the extra tensorrt)")
RTX = TensorRtOptions(contexts=[64], batch=2, library="tensorrt_rtx")

Models = Callable[..., Path]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def with_plans(tmp_path_factory: pytest.TempPathFactory, tiny_with_heads: Models) -> Path:
    """The tiny model with shared attending heads, and its plans."""
    folder = tmp_path_factory.mktemp("plans")
    export_model(tiny_with_heads("fastmtp"), folder / "out", tensorrt=RTX)
    return folder / "out"


@needs_rtx
def test_the_record_says_what_the_plans_fit(with_plans: Path) -> None:
    record = json.loads((with_plans / "tensorrt.json").read_bytes())
    assert record["weights_sha256"] == sha256(with_plans / "model.safetensors")
    assert (record["library"], record["gpu"]) == ("tensorrt_rtx", None)
    plans = {plan["file"]: plan for plan in record["plans"]}
    assert set(plans) == {path.name for path in with_plans.glob("*.engine")}
    assert set(plans) == {"verify.64.engine", "draft.64.engine"}
    for name, entry in plans.items():
        path = with_plans / name
        assert (entry["bytes"], entry["sha256"]) == (path.stat().st_size, sha256(path))
        assert (entry["context"], entry["capacity"]) == (64, capacity(64))


@needs_rtx
def test_the_runtime_reads_the_record(with_plans: Path) -> None:
    read = _core_testing.PlansRecord.read(_core_testing.ModelDir.open(str(with_plans)))
    written = json.loads((with_plans / "tensorrt.json").read_bytes())
    read.check_library(written["library"], written["version"])
    read.check_gpu("9.0")
    for entry, found in zip(written["plans"], read.values["plans"], strict=True):
        assert found["profiles"] == [
            tuple(tuple(bucket[size]) for size in ("batch", "width", "rows")) for bucket in entry["profiles"]
        ]
        assert {key: entry[key] for key in found if key != "profiles"} == {
            key: value for key, value in found.items() if key != "profiles"
        }
        assert read.plan_for(entry["graph"], 64) == entry["file"]


@needs_rtx
def test_caches_attention_and_rotation_get_layers_of_their_own(with_plans: Path) -> None:
    plans = json.loads((with_plans / "tensorrt.json").read_bytes())["plans"]
    layers = read_model_dir(with_plans).config.layers
    operators = next(entry["operators"] for entry in plans if entry["graph"] == "verify")
    assert operators["TensorScatter"] == {"KV_CACHE_UPDATE": 2 * layers}
    assert operators["Attention"] == {"ATTENTION_OUTPUT": layers}
    assert operators["RotaryEmbedding"] == {"ROTARY_EMBEDDING": 2 * layers}
    assert [entry["fallbacks"] for entry in plans] == [[], []]


@needs_rtx
def test_caches_that_are_not_written_in_place_are_refused(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "operator_mapping", lambda graph, network: {"TensorScatter": {"SCATTER": 4}})
    with pytest.raises(EngineError, match="caches are not written in place: 4 of 4 TensorScatter"):
        export_model(tiny_model, tmp_path / "out", tensorrt=RTX)


@needs_rtx
def test_what_the_builder_measured_is_kept_for_later(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def build(self: plan.Builder, *_: Any) -> plan.Plan:
        seen.append(self.timing_cache)
        self.timing_cache += b"+"
        return plan.Plan(memoryview(b"plan"), {}, [])

    monkeypatch.setattr(plan.Builder, "build", build)
    for name in ("first", "second"):
        options = TensorRtOptions([32, 64], 1, "tensorrt_rtx", tmp_path / "timing")
        export_model(tiny_model, tmp_path / name, tensorrt=options)
    assert seen == [b"", b"+", b"++", b"+++"]
    assert [path.read_bytes() for path in (tmp_path / "timing").iterdir()] == [b"++++"]


def test_a_full_disk_leaves_no_part_of_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    plans._keep(tmp_path / "timing" / "a.timing", b"measured")
    assert list((tmp_path / "timing").iterdir()) == []


@pytest.mark.parametrize(("kept", "used"), [(b"of this GPU", b"of this GPU"), (b"of another", b"")])
def test_timings_of_another_gpu_are_left_out(kept: bytes, used: bytes) -> None:
    config = SimpleNamespace(
        create_timing_cache=lambda content: content,
        set_timing_cache=lambda cache, ignore_mismatch: not ignore_mismatch and cache != b"of another",
    )
    assert plan.timing_cache(config, kept) == used


@needs_rtx
def test_plans_are_not_carried_to_other_weights(with_plans: Path) -> None:
    carried = carried_files(read_model_dir(with_plans))
    assert not [name for name in carried if name.endswith(".engine") or name == "tensorrt.json"]


@needs_rtx
def test_a_graph_that_tensorrt_refuses_leaves_nothing(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtp_rt.export.tensorrt.plans.capacity", lambda context: "capacity")
    with pytest.raises(EngineError, match=r"tensorrt_rtx .*parsing verify\.onnx: node TensorScatter_\d+: "):
        export_model(tiny_model, tmp_path / "out", tensorrt=RTX)
    assert list(tmp_path.iterdir()) == []


@needs_rtx
@pytest.mark.parametrize("failing", ["converted.bin", "verify.onnx", "verify.64.engine", "tensorrt.json"])
def test_a_disk_that_fills_leaves_nothing_behind(
    failing: str, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening the file fails, whichever of the ways to write it is taken."""
    opened = Path.open

    def full(path: Path, *arguments: Any, **keywords: Any) -> Any:
        if path.name == failing and arguments[:1] in (("xb",), ("wb",)):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *arguments, **keywords)

    monkeypatch.setattr(plan.Builder, "build", lambda *_: plan.Plan(memoryview(b"plan"), {}, []))
    monkeypatch.setattr(whole.Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        export_model(tiny_model, tmp_path / "out", tensorrt=RTX)
    assert list(tmp_path.iterdir()) == []


def test_without_bindings_the_remedy_is_named(tmp_path: Path, tiny_model: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(library, "_package", lambda name: None)
    with pytest.raises(
        UnsupportedError, match=r"tensorrt_rtx is not installed: pip install 'mtp-rt\[tensorrt\]'"
    ):
        export_model(tiny_model, tmp_path / "out", tensorrt=TensorRtOptions())
    assert list(tmp_path.iterdir()) == []


def installed(monkeypatch: pytest.MonkeyPatch, version: str, gpu: library.Gpu | None) -> None:
    monkeypatch.setattr(library, "_imported", lambda name: SimpleNamespace(__version__=version))
    monkeypatch.setattr(library, "_package", lambda name: name)
    monkeypatch.setattr(library, "first_gpu", lambda: gpu)


def test_a_library_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "1.1.0.22", None)
    with pytest.raises(UnsupportedError, match=r"tensorrt_rtx 1\.1\.0\.22 is too old: plans need 1\.2"):
        library.open_library()


def test_tensorrt_without_a_gpu_points_to_rtx(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "11.4.0.106", None)
    with pytest.raises(UnsupportedError, match="there is none; build with tensorrt_rtx"):
        library.open_library("tensorrt")


def test_the_gpu_decides_where_nobody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = library.Gpu("H100", "9.0")
    installed(monkeypatch, "11.4.0.106", gpu)
    assert library.open_library() == library.Library(
        "tensorrt", "11.4.0.106", library.open_library().module, gpu
    )
    assert library.open_library("tensorrt_rtx").gpu is None
    installed(monkeypatch, "11.4.0.106", None)
    assert library.open_library().name == "tensorrt_rtx"


def test_shapes_are_checked(tiny_model: Path) -> None:
    config = read_model_dir(tiny_model).config
    assert shapes_of(config, None, None).contexts == (min(2048, config.context),)
    assert shapes_of(config, [128, 64, 128], 1).contexts == (64, 128)
    for contexts, batch, problem in (
        ([config.context + 1], 1, "tensorrt_contexts: "),
        ([15], 1, "tensorrt_contexts: 15 is not in 16"),
        (None, 0, "tensorrt_batch: 0 is not in 1"),
        (None, 65, "tensorrt_batch: 65"),
    ):
        with pytest.raises(ArgumentError, match=problem):
            shapes_of(config, contexts, batch)


def test_an_unknown_library_is_refused() -> None:
    with pytest.raises(
        ArgumentError, match="tensorrt_library is 'openvino'; expected tensorrt_rtx or tensorrt"
    ):
        library.open_library("openvino")


def test_layers_that_are_not_their_own_are_told(tiny_model: Path) -> None:
    nodes = [SimpleNamespace(op_type=kind) for kind in ["TensorScatter"] * 4 + ["Attention", "Add"]]
    graph: Any = SimpleNamespace(graph=SimpleNamespace(node=nodes))
    good = {"TensorScatter": {"KV_CACHE_UPDATE": 4}, "Attention": {"ATTENTION_OUTPUT": 1}}
    assert fallbacks(graph, good) == []
    lost = {"TensorScatter": {"KV_CACHE_UPDATE": 1, "SCATTER": 3}, "Attention": {"PLUGIN_V3": 1}}
    assert fallbacks(graph, lost) == ["3 of 4 TensorScatter", "1 of 1 Attention", "1 plugins"]
