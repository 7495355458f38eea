"""The tensorrt engine over a GPU of the tests: what it asks of plans, and which plans it refuses.

That states, caches and drafts are kept as in the native engine is in test_graph_engines.py, and the texts in
test_conformance.py.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drafting import TEXT
from driving import chain, feed, verify
from hypothesis import given
from hypothesis import strategies as st
from test_tensorrt_library import of_version

from mtp_rt import LLM, _core, _core_testing
from mtp_rt._core import Engine
from mtp_rt.engines import LIBRARY_VARIABLES, library_of
from mtp_rt.errors import CapacityError, EngineError, ModelFormatError, UnsupportedError

pytest.importorskip("onnxruntime")
plan_device = pytest.importorskip("plan_device")

Models = Callable[..., Path]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, exported_f32_heads: Models) -> Path:
    """The tiny model in f32 with heads that attend, and plans for two contexts."""
    folder = tmp_path_factory.mktemp("planned") / "model"
    plan_device.write_plans(exported_f32_heads("fastmtp"), folder, [64, 256])
    return folder


@pytest.fixture
def folder(planned: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(planned, tmp_path / "model"))


def opened(folder: Path, device: Any = None, **options: Any) -> Any:
    return _core_testing.open_plans(device or plan_device.PlanDevice(folder), str(folder), **options)


class Changed(plan_device.PlanDevice):  # type: ignore[misc, name-defined]
    """Plans declare other tensors than their graphs."""

    def __init__(self, folder: Path, change: Callable[[list[Any]], list[Any]]) -> None:
        super().__init__(folder)
        self._change = change

    def open_plan(self, *arguments: Any) -> Any:
        plan = super().open_plan(*arguments)
        plan.tensors = self._change(plan.tensors)
        return plan


def change(folder: Path, **fields: Any) -> None:
    record = json.loads((folder / "tensorrt.json").read_bytes())
    (folder / "tensorrt.json").write_text(json.dumps(record | fields))


def test_more_rows_than_a_profile_scores_are_scored_in_parts(planned: Path) -> None:
    device, native = plan_device.PlanDevice(planned), Engine(str(planned), threads=1)
    engine = opened(planned, device)
    got, want = (verify(e, chain(e, 0, TEXT + TEXT), taps=[]) for e in (engine, native))
    np.testing.assert_allclose(got.logits, want.logits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(got.states, want.states, rtol=0, atol=1e-4)
    calls = device.plans["verify.256.engine"].calls
    assert [call["rows"] for call in calls] == [16, 16, 10]
    assert {call["width"] for call in calls} == {42}


def test_a_call_without_logits_scores_one_row(planned: Path) -> None:
    device = plan_device.PlanDevice(planned)
    feed(opened(planned, device), 0, TEXT)
    assert device.plans["verify.256.engine"].calls == [{"batch": 1, "width": len(TEXT), "rows": 1}]


@pytest.mark.parametrize(("context", "file", "found"), [(0, 256, 256), (40, 64, 40), (65, 256, 65)])
def test_the_shortest_plans_that_suffice_are_opened(
    context: int, file: int, found: int, planned: Path
) -> None:
    device = plan_device.PlanDevice(planned)
    engine = opened(planned, device, context=context)
    assert engine.info.context == found
    assert set(device.plans) == {f"verify.{file}.engine", f"draft.{file}.engine"}


def test_what_the_engine_says_of_itself(planned: Path) -> None:
    info = opened(planned, slots=3, max_rows=500).info
    assert (info.name, info.device, info.slots, info.max_rows) == ("tensorrt", "A GPU of the tests", 3, 128)
    native = Engine(str(planned), threads=1).info
    assert info.weight_bytes == pytest.approx(native.weight_bytes / 2, rel=0.05)  # f32 is float16 in plans
    assert info.head_bytes == pytest.approx(native.head_bytes / 2, rel=0.05)
    assert not info.row_invariant


def test_a_context_beyond_the_plans_is_refused(planned: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"context is 300, and the plans of verify are for 64, 256"):
        opened(planned, context=300)


def test_the_end_of_the_context_is_the_plans(planned: Path) -> None:
    engine = opened(planned, context=64)
    feed(engine, 0, (TEXT * 4)[:63])
    with pytest.raises(CapacityError, match="context"):
        verify(engine, chain(engine, 0, [1, 2]), taps=[])
    verify(engine, chain(engine, 0, [1]), taps=[])


def test_a_run_that_fails_leaves_the_slots_as_they_were(planned: Path) -> None:
    device = plan_device.PlanDevice(planned)
    engine, native = opened(planned, device), Engine(str(planned), threads=1)
    for each in (engine, native):
        feed(each, 0, TEXT)
    plan, run = device.plans["verify.256.engine"], device.plans["verify.256.engine"].run

    def fail(*_: Any) -> None:
        raise EngineError("verify.256.engine: CUDA: the GPU has gone")

    plan.run = fail
    with pytest.raises(EngineError, match="the GPU has gone"):
        verify(engine, chain(engine, 0, [1]), taps=[])
    plan.run = run
    got, want = (verify(e, chain(e, 0, [7, 8]), taps=[]) for e in (engine, native))
    np.testing.assert_allclose(got.logits, want.logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("file", ["verify.256.engine", "draft.256.engine", "model.safetensors"])
def test_files_of_another_export_are_refused(file: str, folder: Path) -> None:
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(ModelFormatError, match=rf"{file}.*not the file that tensorrt.json speaks of"):
        opened(folder)


def test_plans_of_another_gpu_are_refused(planned: Path) -> None:
    device = plan_device.PlanDevice(planned, compute_capability="8.6")
    with pytest.raises(UnsupportedError, match=r"built for .*9\.0.*this GPU has 8\.6"):
        opened(planned, device)


def test_plans_of_another_signature_are_refused(planned: Path) -> None:
    def swap(name: str, **new: Any) -> Any:
        names = ("name", "is_input", "type", "shape")
        return lambda tensors: [
            tuple((dict(zip(names, t, strict=True)) | new).values()) if t[0] == name else t for t in tensors
        ]

    for change, problem in [
        (lambda tensors: tensors[1:], r"lacks the tensor 'tokens'"),
        (lambda tensors: [*tensors, ("mood", True, "int64", [-1])], r"has the tensor 'mood'"),
        (swap("state", type="float16"), r"another type or shape of 'state'"),
        (swap("past.0.key", type="float32"), r"another type or shape of 'past\.0\.key'"),
        (swap("past.1.value", shape=[-1, 2, 64, 32]), r"another type or shape of 'past\.1\.value'"),
        (swap("rows", is_input=False), r"another type or shape of 'rows'"),
    ]:
        with pytest.raises(ModelFormatError, match=rf"verify.256.engine.*{problem}.*export again"):
            opened(planned, Changed(planned, change))


def test_plans_too_narrow_for_the_heads_are_refused(folder: Path) -> None:
    change(folder, step_width=2)
    with pytest.raises(
        UnsupportedError, match=r"take 2 rows in a step, too few for the drafts of \d extra heads"
    ):
        opened(folder)


def test_without_plans_or_cuda_part_the_remedy_is_named(planned: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"tensorrt.json.*no TensorRT plans.*export"):
        LLM(tiny_model, engine="tensorrt")
    with pytest.raises(UnsupportedError, match=r"CUDA part|libnvinfer"):
        LLM(planned, engine="tensorrt")


def test_a_library_that_does_not_fit_the_part_is_not_called(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, library="tensorrt", version="12.15.1.29")
    library = of_version(tmp_path / "libother.so", 12, 15, 1, 29)
    monkeypatch.setenv(LIBRARY_VARIABLES["tensorrt"], library)
    needed = r"tensorrt 12\.15\.1\.29 needs those of TensorRT 12; build with .*MTP_RT_TENSORRT_INCLUDE"
    with pytest.raises(UnsupportedError, match=rf"CUDA part: this build has none|{needed}"):
        LLM(folder, engine="tensorrt")


def test_the_library_is_that_which_built_the_plans(
    planned: Path, folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, library="tensorrt_rtx")
    monkeypatch.delenv(LIBRARY_VARIABLES["tensorrt"], raising=False)
    found = library_of("tensorrt", folder)
    assert found == "" or Path(found).name.startswith("libtensorrt_rtx.so.")
    assert "rtx" not in library_of("tensorrt", planned)
    assert library_of("tensorrt", tiny_model) == ""
    (folder / "tensorrt.json").write_text("[1]")
    assert library_of("tensorrt", folder) == ""
    monkeypatch.setenv(LIBRARY_VARIABLES["tensorrt"], "mine.so")
    assert library_of("tensorrt", folder) == ""


@given(st.one_of(st.binary(max_size=300), st.integers(0, 300).map(bytes)))
def test_digests_are_those_of_sha256(content: bytes) -> None:
    assert _core.sha256(content) == hashlib.sha256(content).hexdigest()
