"""What the kernels take of a GPU, as the assembler reports it, against the limits beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("nvcc", "cmake", "ninja", "c++filt")
REPORT = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN6mtp_rt4cuda4pickItEEvi' for 'sm_75'
ptxas info    : Function properties for _ZN6mtp_rt4cuda4pickItEEvi
    16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 63 registers, used 1 barriers, 16 bytes cumulative stack size, 17224 bytes smem
ptxas info    : Compiling entry function '_ZN6mtp_rt4cuda6acceptEi' for 'sm_90'
ptxas info    : Function properties for _ZN6mtp_rt4cuda6acceptEi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 38 registers, used 0 barriers
"""


@pytest.fixture
def script(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("cuda_resources")


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="needs c++filt")
def test_the_report_is_read(script: ModuleType) -> None:
    pick = {"registers": 63, "shared_bytes": 17224, "stack_bytes": 16, "spill_bytes": 12}
    accept = {"registers": 38, "shared_bytes": 0, "stack_bytes": 0, "spill_bytes": 0}
    assert script.parse(REPORT) == {"sm_75": {"pick<uint16>": pick}, "sm_90": {"accept": accept}}


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
def test_kernels_keep_their_limits(script: ModuleType, tmp_path: Path) -> None:
    """Nothing spills, a block of a pick has the registers to run, and every kernel has a limit."""
    limits = json.loads((ROOT / "cuda" / "resource_limits.json").read_text())
    found = script.resources(["90"], tmp_path)["sm_90"]
    assert found.keys() == limits.keys()
    for kernel, used in found.items():
        assert used["spill_bytes"] == 0, kernel
        assert {name: used[name] for name in limits[kernel]} == {
            name: min(used[name], limit) for name, limit in limits[kernel].items()
        }, kernel
