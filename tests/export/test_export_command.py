"""`mtp-rt export` as a user types it, and the examples that decode what it writes with nothing of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mtp_rt.tokenizer import Tokenizer
from reference import Reference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "onnx"
Models = Callable[..., Path]


def run(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )


def export(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return run("-m", "mtp_rt.cli.main", "export", *arguments, folder=folder)


def test_the_report_says_what_was_written(tmp_path: Path, tiny_with_heads: Models) -> None:
    done = export(tiny_with_heads("hydra"), "out", "--onnx", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    draft = {"draft.onnx", "draft_2.onnx", "draft_3.onnx"}
    graphs = {"verify.onnx", "verify.single.onnx", "all_heads.onnx"} | draft
    assert set(report["graphs"]) == graphs
    assert report["graphs"]["draft.onnx"]["inputs"] == ["state", "tokens"]
    assert report["graphs"]["draft.onnx"]["outputs"] == ["logits", "ids", "next_state"]
    assert report["files"] == {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}


def test_errors_say_what_to_do(tmp_path: Path, tiny_model: Path) -> None:
    done = export(tiny_model, "out", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing to export: ask for onnx" in done.stderr
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    done = export(tiny_model, "out", "--onnx", folder=tmp_path)
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert export(tiny_model, "out", "--onnx", "--quantize", "q5", folder=tmp_path).returncode == 2
    done = export(tiny_model, "new", "--onnx", "--opset", "19", folder=tmp_path)
    assert done.returncode == 1
    assert "opset: 19 is not 24, or 21" in done.stderr
    done = export(tiny_model, "new", "--quantize", "q8", "--opset", "21", folder=tmp_path)
    assert done.returncode == 2
    assert "add --onnx" in done.stderr
    assert not (tmp_path / "new").exists()


def test_without_onnx_the_remedy_is_named(tmp_path: Path, tiny_model: Path) -> None:
    program = (
        "import sys; sys.modules['onnx'] = None\n"
        "from mtp_rt.export.exporter import export_model\n"
        f"export_model({str(tiny_model)!r}, 'out', onnx=True)\n"
    )
    done = run("-c", program, folder=tmp_path)
    assert "UnsupportedError" in done.stderr
    assert "pip install 'mtp-rt[export]'" in done.stderr


def greedy(path: Path, prompt: str, count: int) -> str:
    """Oracle: the float64 reference, one token at a time."""
    model, tokenizer = Reference(path), Tokenizer.load(path)
    tokens = tokenizer.encode(prompt)
    start = len(tokens)
    while len(tokens) - start < count and not set(tokens[start:]) & set(model.config.eos):
        tokens.append(int(model.run(tokens).logits[-1].argmax()))
    return tokenizer.decode(tokens[start:])


@pytest.mark.parametrize("preset", ["fastmtp", "deepseek", "causal"])
def test_the_example_with_all_heads_decodes_the_text(preset: str, exported_f32_heads: Models) -> None:
    path = exported_f32_heads(preset)
    done = run("all_heads.py", path, "def main", "12", folder=EXAMPLES)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(greedy(path, "def main", 12))


@pytest.mark.parametrize("preset", ["recurrent", "hydra"])
def test_the_example_with_the_loop_by_hand_decodes_the_text(preset: str, exported_f32_heads: Models) -> None:
    path = exported_f32_heads(preset)
    done = run("draft_and_verify.py", path, "def main", "12", "3", folder=EXAMPLES)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(greedy(path, "def main", 12))


def test_examples_import_nothing_of_ours() -> None:
    for example in EXAMPLES.glob("*.py"):
        assert "mtp_rt" not in example.read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--onnx", "--tensorrt-batch", "2"], "--tensorrt-batch: is for plans; add --tensorrt"),
        (["--tensorrt", "--tensorrt-contexts", "64,x"], "must be positive numbers like 1,4,16, got '64,x'"),
    ],
)
def test_options_of_plans_are_never_passed_over(
    tmp_path: Path, tiny_model: Path, arguments: list[str], problem: str
) -> None:
    done = export(tiny_model, "out", *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert problem in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []
