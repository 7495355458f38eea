"""TensorRT in the CUDA part: its headers, its code on a fake GPU, and what is said where there is no GPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorrt_files import ROOT, VARIABLE, find_tensorrt, fits_rtx, headers, rtx_library
from test_part import PART

from mtp_rt import _core, _core_testing
from mtp_rt.errors import UnsupportedError

TOOLS = ("nvcc", "cmake", "ninja", "c++")
# By version: 10.14, as it spells its numbers; from 10.15 on or before; of TensorRT-RTX.
SPELLINGS = (
    "#define TRT_{}_ENTERPRISE {}\n",
    "#define NV_TENSORRT_{} {} //!< of TensorRT\n",
    "#define TRT_{}_RTX {}\n",
)


@pytest.fixture
def find_headers(tmp_path: Path) -> Callable[..., tuple[bool, str]]:
    """Return a function: spelling and version of headers -> (whether a build takes them, what it says)."""
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake")

    def find(
        spelling: str, *numbers: int, names: tuple[str, ...] = ("NvInfer.h", "NvInferRuntime.h")
    ) -> tuple[bool, str]:
        for name in names:
            (tmp_path / name).touch()
        lines = [spelling.format(*line) for line in zip(("MAJOR", "MINOR", "PATCH"), numbers, strict=True)]
        (tmp_path / "NvInferVersion.h").write_text("".join(lines))
        return find_tensorrt(tmp_path)

    return find


@pytest.mark.parametrize("spelling", SPELLINGS[:2])
@pytest.mark.parametrize("numbers", [(10, 14, 1), (10, 100, 0), (11, 1, 0)])
def test_headers_tell_their_version(
    find_headers: Callable[..., tuple[bool, str]], spelling: str, numbers: tuple[int, ...]
) -> None:
    taken, text = find_headers(spelling, *numbers)
    assert taken, text
    assert "({}.{}.{})".format(*numbers) in text


@pytest.mark.parametrize("numbers", [(10, 13, 3), (8, 6, 1), (1, 7, 1)])
def test_old_headers_are_refused(
    find_headers: Callable[..., tuple[bool, str]], numbers: tuple[int, ...]
) -> None:
    taken, text = find_headers(SPELLINGS[0], *numbers)
    assert not taken
    assert re.search(r"headers of TensorRT {}\.{}\.{}; 10\.14 or newer is needed".format(*numbers), text)


def test_foreign_headers_and_folders_are_refused(find_headers: Callable[..., tuple[bool, str]]) -> None:
    taken, text = find_headers(SPELLINGS[2], 1, 7, 1)
    assert not taken
    assert "does not tell TensorRT's version" in text
    assert "those of TensorRT 11" in text


def test_a_folder_without_headers_is_refused(
    find_headers: Callable[..., tuple[bool, str]], tmp_path: Path
) -> None:
    taken, text = find_headers(SPELLINGS[0], 10, 14, 1, names=("NvInferRuntime.h",))
    assert not taken
    assert f"{tmp_path} has no NvInfer.h" in text.replace("\n", "")


@pytest.fixture(scope="module", params=headers(), ids=str)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/native/tensorrt and the part's sources, with the sanitizers."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    build = tmp_path_factory.mktemp("build")
    options = ["-DMTP_RT_CUDA=ON", "-DMTP_RT_PYTHON=OFF", "-DMTP_RT_CUDA_ARCHITECTURES=90-real"]
    options += [f"-D{VARIABLE}={request.param}", f"-DPython_EXECUTABLE={sys.executable}"]
    options += ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"]  # built quickly
    options += ["-DCMAKE_CXX_FLAGS=-fsanitize=address,undefined -fno-sanitize-recover=all"]
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja", *options],
        ["cmake", "--build", str(build), "--target", "tensorrt_plans"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return build / "cuda" / "tensorrt_plans"


@pytest.mark.slow
def test_plans_do_on_a_fake_gpu_what_they_compute(program: Path) -> None:
    """Oracle: the fake TensorRT's own formula, and for what fails the kinds of errors that plans.h names."""
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_real_tensorrt_rtx_starts_and_its_errors_arrive(program: Path) -> None:
    library = rtx_library()
    if library is None:
        pytest.skip("needs tensorrt_rtx (the extra tensorrt)")
    own = subprocess.run([program], capture_output=True, text=True, check=False).stdout
    found = re.search(r"TensorRT (\S+),", own)
    assert found, own
    if not fits_rtx(found.group(1)):
        pytest.skip(f"the headers of TensorRT {found.group(1)} do not fit it")
    # Its own memory at its end is its own business.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([program, library], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verify.64.engine: TensorRT refuses it: " in done.stdout
    assert "no reason" not in done.stdout


@pytest.mark.skipif(not PART.exists(), reason="this build has no CUDA part")
def test_the_part_says_what_it_lacks() -> None:
    library = rtx_library()
    built_with = _core_testing.tensorrt_headers()
    if built_with is None:
        with pytest.raises(UnsupportedError, match=f"built without TensorRT; build with {VARIABLE}"):
            _core_testing.open_plan_device(str(_core.__file__))
        return
    if library is None or not fits_rtx(built_with):
        pytest.skip("needs tensorrt_rtx (the extra tensorrt) and a part that was built for it")
    try:
        name, capability = _core_testing.open_plan_device(str(library))
    except UnsupportedError as error:
        assert any(text in str(error) for text in ("no NVIDIA driver", "no GPU"))
    else:
        assert (name, capability) == _core.cuda_devices()[0][:2]
