"""A plan of the tiny model on a GPU: a program of tests/native opens and calls it."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from tensorrt_files import VARIABLE, find_tensorrt, fits_rtx, headers, rtx_library
from test_on_gpu import TOOLS, gpus, run

from mtp_rt.export.exporter import TensorRtOptions, export_model


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(gpus() == 0, reason="needs a GPU")
@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
@pytest.mark.parametrize("folder", headers(), ids=str)
def test_a_plan_runs(tiny_model: Path, tmp_path: Path, folder: Path) -> None:
    """Oracle: the call itself, made again, in another slot and as a captured graph."""
    library = rtx_library()
    version = re.search(r"\((\d+\.\d+\.\d+)\)", find_tensorrt(folder)[1])
    if library is None or version is None or not fits_rtx(version.group(1)):
        pytest.skip("needs tensorrt_rtx (the extra tensorrt) and headers that fit it")
    plans = TensorRtOptions(contexts=[64], batch=2, library="tensorrt_rtx")
    export_model(tiny_model, tmp_path / "out", tensorrt=plans)
    options = ["-DMTP_RT_CUDA_ARCHITECTURES=native", f"-D{VARIABLE}={folder}"]
    for command in (
        ["cmake", "--preset", "cuda", *options, f"-DPython_EXECUTABLE={sys.executable}"],
        ["cmake", "--build", "--preset", "cuda", "--target", "tensorrt_on_gpu"],
        ["build/cuda/cuda/tensorrt_on_gpu", str(library), str(tmp_path / "out" / "verify.64.engine")],
    ):
        done = run(*command)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
