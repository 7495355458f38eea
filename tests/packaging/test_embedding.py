"""The C++ example, built against the installed package: its tokens are those of the Python side."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import mtp_rt
from mtp_rt import LLM, SamplingParams

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = [[1, 2, 3], [7, 7, 7, 7], [40, 41, 42, 43, 44]]

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("cmake", "c++"))), reason="needs a C++ toolchain")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("example")
    configure = ["cmake", "-S", ROOT / "examples" / "cpp", "-B", build, f"-Dmtp_rt_ROOT={mtp_rt.cmake_dir()}"]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    return build / "continue_ids"


def run(program: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)


def test_continues_prompts_as_python_does(program: Path, tiny_model: Path) -> None:
    lines = "\n".join(" ".join(map(str, prompt)) for prompt in PROMPTS)
    done = run(program, str(tiny_model), "24", stdin=lines)
    assert done.returncode == 0, done.stderr
    found = [[int(word) for word in line.split("(")[0].split()] for line in done.stdout.splitlines()]
    expected = LLM(str(tiny_model)).generate(PROMPTS, SamplingParams(max_tokens=24))
    assert found == [completion.token_ids for completion in expected]


def test_reports_a_model_that_is_not_there(program: Path, tmp_path: Path) -> None:
    done = run(program, str(tmp_path), "24", stdin="1")
    assert done.returncode == 1
    assert "config.json" in done.stderr
