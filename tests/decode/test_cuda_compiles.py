"""The functions that the CPU and a CUDA sampler share compile as device code, one rounding per operation."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NVCC = shutil.which("nvcc")


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
def test_shared_functions_compile_without_fused_operations(tmp_path: Path) -> None:
    """A fused multiply-add rounds once where the CPU rounds twice; the PTX must hold none."""
    assert NVCC is not None
    target = tmp_path / "shared.ptx"
    command = [NVCC, "-ptx", "-std=c++20", "-fmad=false", "--expt-relaxed-constexpr", "-Werror=all-warnings"]
    command += ["-I", str(ROOT / "cpp" / "include"), "-I", str(ROOT / "cpp" / "src"), "-o", str(target)]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("shared_functions.cu"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code = target.read_text()
    assert code.count(".entry") == 3
    assert re.findall(r"\bfma\.\S+", code) == []
