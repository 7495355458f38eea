"""benchmarks/gpu_checks.py: what it says of checks that pass, fail, hang or cannot be run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu_checks.py"


@pytest.fixture
def script(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("gpu_checks")


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_each_outcome_is_told_apart(script: ModuleType) -> None:
    wanted = [
        script.Check("good", python("print('fine')")),
        script.Check("bad", python("print('differ'); raise SystemExit(1)")),
        script.Check("behind good", python("pass"), "good"),
        script.Check("behind bad", python("pass"), "bad"),
        script.Check("no tool", ("no-such-program-here",)),
        script.Check("no gpu", python("raise SystemExit(77)")),
        script.Check(
            "measure", python("import sys; print('{\"a\": 1}'); print('x', file=sys.stderr)"), measures=True
        ),
        script.Check("no json", python("print('ready')"), measures=True),
        script.Check("no measure", python("raise SystemExit('broken')"), measures=True),
        script.Check("no peer", python("raise SystemExit('no torch')"), absent=("no torch",)),
    ]
    results = script.run_all(wanted)
    outcomes = ["passed", "failed", "passed", "skipped", "skipped", "skipped", "passed", "failed", "failed"]
    outcomes.append("skipped")
    assert [result["outcome"] for result in results] == outcomes
    details = [
        "fine",
        "differ",
        "",
        "needs 'bad'",
        "no-such-program-here is not here",
        "the program finds no GPU",
        {"a": 1},
        "printed no JSON: ready",
        "broken",
        "no torch",
    ]
    assert [result["detail"] for result in results] == details


def test_a_check_without_end_leaves_no_time_for_others(script: ModuleType) -> None:
    hangs = script.Check("hangs", python("import time; time.sleep(60)"))
    results = script.run_all([hangs, script.Check("later", python("pass"))], seconds=0.5)
    assert [result["outcome"] for result in results] == ["out of time", "out of time"]


def test_its_targets_and_presets_exist(script: ModuleType) -> None:
    printed = subprocess.run(
        [sys.executable, str(SCRIPT), "--dry-run"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert printed == [" ".join(check.command) for check in script.checks()]
    root = SCRIPT.parents[1]
    with_plans = [check.name for check in script.checks(Path("plans"))]
    engine = ["plans and texts", "decode", "decode, host's steps", "steps", "peers"]
    assert with_plans[2:9] == ["kernels", *engine, "kernels, memcheck"]
    with_graphs = [check.name for check in script.checks(Path("plans"), Path("graphs"))]
    graphs = ["onnxruntime, decode", "onnxruntime, steps", "onnxruntime, texts"]
    assert with_graphs[7:12] == ["peers", *graphs, "kernels, memcheck"]
    for check in script.checks(Path("plans"), Path("graphs")):
        if check.command[0] == "pytest":
            assert (root / check.command[-1]).is_file()
    assert '"name": "cuda"' in (root / "CMakePresets.json").read_text()
    assert "add_executable(cuda_kernels" in (root / "cuda" / "CMakeLists.txt").read_text()


def test_an_onnxruntime_without_cuda_is_skipped(
    script: ModuleType, tiny_model: Path, exported: Callable[[Path], Path]
) -> None:
    """The commands themselves, on the onnxruntime that is installed."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    results = script.run_all(script.graph_checks(str(exported(tiny_model))))
    assert [result["outcome"] for result in results] == ["skipped"] * 3
    assert "has no CUDAExecutionProvider" in results[0]["detail"]
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]>=1.30'" in results[0]["detail"]
    assert results[2]["detail"] == "needs 'onnxruntime, decode'"


def test_no_gpu_is_no_success(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["gpu_checks.py", "--out", str(tmp_path / "out.json")])
    assert script.main() == 2
    assert list(tmp_path.iterdir()) == []
