"""The library that the onnxruntime engine opens, and options: found, or refused with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_library import fake_library

from mtp_rt import LLM, SamplingParams
from mtp_rt._core import Engine
from mtp_rt.engines import LIBRARY_VARIABLES, library_of, open_engine
from mtp_rt.errors import ArgumentError, UnsupportedError

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def folder(tiny_model: Path, exported: Callable[[Path], Path]) -> Path:
    return exported(tiny_model)


def opened(folder: Path, *, isa: str = "", threads: int = 1, **options: object) -> Engine:
    return open_engine(folder, "onnxruntime", isa=isa, threads=threads, **options)


OLD = """
static const void* get_api(unsigned version) { return version > 17 ? 0 : "api"; }
static const char* get_version(void) { return "1.17.3"; }
struct base { const void* (*api)(unsigned); const char* (*version)(void); };
static const struct base base = {get_api, get_version};
const void* OrtGetApiBase(void) { return &base; }
"""


def test_libraries_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for library, problem in [
        ("/nowhere/libonnxruntime.so", "cannot be opened: /nowhere/libonnxruntime.so"),
        (fake_library(tmp_path, "int nothing;"), "is not ONNX Runtime"),
        (
            fake_library(other, OLD),
            r"is ONNX Runtime 1.17.3, which is too old: the graphs need 1.30",
        ),
    ]:
        with pytest.raises(UnsupportedError, match=problem) as refused:
            Engine(str(folder), engine="onnxruntime", library=library)
        assert "pip install 'onnxruntime>=1.30'" in str(refused.value)


def test_the_environment_names_the_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = library_of("onnxruntime", folder)
    assert Path(found).name.startswith("libonnxruntime.so")
    assert library_of("native", folder) == ""
    monkeypatch.setenv(LIBRARY_VARIABLES["onnxruntime"], str(tmp_path / "none.so"))
    with pytest.raises(UnsupportedError, match=r"none.so"):
        opened(folder)
    monkeypatch.setenv(LIBRARY_VARIABLES["onnxruntime"], found)
    assert opened(folder).info.name == "onnxruntime"


def test_options_that_mean_nothing_here_are_refused(folder: Path, tiny_model: Path) -> None:
    for options, kind, problem in [
        ({"provider": "cuda"}, UnsupportedError, "provider 'cuda'"),
        ({"provider": "fpga"}, ArgumentError, "provider is 'fpga'; expected one of cpu, cuda, tensorrt-rtx"),
        ({"isa": "avx2"}, ArgumentError, "isa is 'avx2'"),
        ({"two_stage_head": True}, UnsupportedError, "two_stage_head"),
        ({"threads": 257}, ArgumentError, "threads is 257"),
    ]:
        with pytest.raises(kind, match=problem):
            opened(folder, **options)
    with pytest.raises(ArgumentError, match="engine 'native' has only 'cpu'"):
        Engine(str(tiny_model), provider="cuda")


def test_llm_generates_with_it(folder: Path) -> None:
    with LLM(folder, engine="onnxruntime", threads=1) as llm:
        assert llm.info.name == "onnxruntime"
        assert len(llm.generate("import os", SamplingParams(max_tokens=8)).token_ids) == 8
