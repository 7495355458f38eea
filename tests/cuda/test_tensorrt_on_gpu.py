"""Plans of the tiny model on a GPU: a program of tests/native calls one, the engine decodes with all."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conformance import DRAFTING, cases, check_against_plain
from tensorrt_files import VARIABLE, find_tensorrt, fits_rtx, headers, rtx_library
from test_on_gpu import TOOLS, gpus, run

from mtp_rt.engines import open_engine
from mtp_rt.errors import UnsupportedError
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


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(gpus() == 0, reason="needs a GPU")
@pytest.mark.parametrize("drafting", DRAFTING)
def test_drafts_change_few_tokens(
    drafting: str, tiny_with_heads: Callable[..., Path], tmp_path: Path, record_property: Any
) -> None:
    """Oracle: a loop of one row a call. What parts is reported with the margins of its choice."""
    model, out = tiny_with_heads("fastmtp"), tmp_path / "out"
    export_model(model, out, tensorrt=TensorRtOptions(contexts=[256], batch=1))
    try:
        engine = open_engine(out, "tensorrt", isa=None, threads=1, slots=4)
    except UnsupportedError as error:
        pytest.skip(str(error))
    chosen = list(cases(model, seeds=2, temperatures=[0.7, 1.5], max_tokens=48))
    check_against_plain(engine, chosen, drafting, record_property)
