"""The TensorRT that the plans of a directory are opened with: the one that built them, or refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtp_rt import _core_testing
from mtp_rt.errors import UnsupportedError

VARIABLE = "MTP_RT_TENSORRT_LIBRARY"
VERSION = "int getInferLib{0}Version(void) {{ return {1}; }}\n"


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def record(tiny_model: Path, tmp_path: Path) -> Callable[[str, str], Any]:
    def read(library: str, version: str) -> Any:
        folder = tmp_path / f"{library}-{version}"
        folder.mkdir()
        for name in ["config.json", "model.safetensors"]:
            (folder / name).symlink_to(tiny_model / name)
        (folder / "verify.64.engine").write_bytes(b"plan")
        one = [1, 1, 1]
        plan = {"file": "verify.64.engine", "graph": "verify", "context": 64, "capacity": 128, "bytes": 4}
        plan |= {"sha256": "0" * 64, "profiles": [{"batch": one, "width": one, "rows": one}]}
        head = {"format_version": 1, "library": library, "version": version, "weights_sha256": "0" * 64}
        head |= {"batch": 1, "step_width": 16, "prompt_width": 128, "plans": [plan]}
        (folder / "tensorrt.json").write_text(json.dumps(head))
        return _core_testing.PlansRecord.read(_core_testing.ModelDir.open(str(folder)))

    return read


def fake_library(file: Path, body: str) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source = file.with_suffix(".c")
    source.write_text(body)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", file, source], check=True)
    return str(file)


def of_version(file: Path, *numbers: int) -> str:
    parts = ("Major", "Minor", "Patch", "Build")
    return fake_library(file, "".join(VERSION.format(*part) for part in zip(parts, numbers, strict=True)))


def test_the_library_that_built_the_plans_is_taken(record: Callable[..., Any], tmp_path: Path) -> None:
    for name, numbers in [("tensorrt", (10, 15, 1, 29)), ("tensorrt_rtx", (1, 7, 1, 116))]:
        version = ".".join(map(str, numbers))
        library = of_version(tmp_path / f"lib{name}.so", *numbers)
        assert _core_testing.open_tensorrt(library, record(name, version)) == (name, version)


def test_others_are_refused(record: Callable[..., Any], tmp_path: Path) -> None:
    plans = record("tensorrt", "10.15.1.29")
    other = of_version(tmp_path / "libother.so", 10, 15, 1, 30)
    with pytest.raises(
        UnsupportedError, match=r"tensorrt 10.15.1.29, and the library here is tensorrt 10.15.1.30"
    ):
        _core_testing.open_tensorrt(other, plans)
    rtx = of_version(tmp_path / "librtx.so", 1, 7, 1, 116)
    with pytest.raises(UnsupportedError, match=r"the library here is tensorrt_rtx 1.7.1.116"):
        _core_testing.open_tensorrt(rtx, plans)
    for body in ["int nothing;", VERSION.format("Major", 10)]:  # the second has no build number
        library = fake_library(tmp_path / f"lib{len(body)}.so", body)
        with pytest.raises(UnsupportedError, match=f"{library} is not TensorRT, or older than .*{VARIABLE}"):
            _core_testing.open_tensorrt(library, plans)


def test_a_missing_library_is_named_by_kind_and_major_version(record: Callable[..., Any]) -> None:
    for name, version, file in [
        ("tensorrt", "99.15.1.29", "libnvinfer.so.99"),
        ("tensorrt_rtx", "9.7.1.116", "libtensorrt_rtx.so.9"),
    ]:
        with pytest.raises(UnsupportedError, match=f"{name} {version} cannot be opened: {file}.*{VARIABLE}"):
            _core_testing.open_tensorrt("", record(name, version))


def test_the_environment_names_the_library(
    record: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = record("tensorrt", "10.15.1.29")
    monkeypatch.setenv(VARIABLE, of_version(tmp_path / "libnamed.so", 10, 15, 1, 29))
    assert _core_testing.open_tensorrt("", plans) == ("tensorrt", "10.15.1.29")
    with pytest.raises(UnsupportedError, match=r"/nowhere/libnvinfer\.so"):  # an option goes before it
        _core_testing.open_tensorrt("/nowhere/libnvinfer.so", plans)


def test_an_installed_rtx_tells_its_version(record: Callable[..., Any]) -> None:
    package = importlib.util.find_spec("tensorrt_rtx_libs")
    folders = [] if package is None else package.submodule_search_locations or []
    found = [file for folder in folders for file in Path(folder).glob("libtensorrt_rtx.so.*")]
    if not found:
        pytest.skip("needs tensorrt_rtx (the extra tensorrt)")
    version = str(importlib.import_module("tensorrt_rtx_bindings").__version__)
    opened = _core_testing.open_tensorrt(str(found[0]), record("tensorrt_rtx", version))
    assert opened == ("tensorrt_rtx", version)
