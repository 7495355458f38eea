"""The kernels on a GPU: a program of tests/native compares what they do with the host's functions."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("nvcc", "cmake", "ninja")


def gpus() -> int:
    """How many GPUs the driver lists; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    ready = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if ready else 0


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(gpus() == 0, reason="needs a GPU")
@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
def test_kernels_do_what_the_host_does() -> None:
    """Oracle: pick() and accept(), row by row and step by step, over three vocabularies."""
    options = ["-DMTP_RT_CUDA_ARCHITECTURES=native", f"-DPython_EXECUTABLE={sys.executable}"]
    for command in (
        ["cmake", "--preset", "cuda", *options],
        ["cmake", "--build", "--preset", "cuda", "--target", "cuda_kernels"],
        ["build/cuda/cuda/cuda_kernels"],
    ):
        done = run(*command)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
