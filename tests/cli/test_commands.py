"""The reporting commands, and what a process shows: start-up, a closed pipe, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from running import Command

import mtp_rt
from mtp_rt import hub, model_dir

MTP_RT = [sys.executable, "-m", "mtp_rt.cli.main"]


def test_version(command: Command) -> None:
    assert command("--version").stdout == f"mtp-rt {mtp_rt.__version__}\n"


def test_env_reports_versions_machine_and_cache(command: Command, tmp_path: Path) -> None:
    facts = command("env", "--json").json
    assert facts["mtp_rt"] == mtp_rt.__version__
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert facts["isas"][-1] == "generic"
    assert facts["cache"] == str(tmp_path / "cache")
    assert facts["packages"]["tokenizers"]
    assert (facts["cuda"]["problem"] is None) == bool(facts["cuda"]["gpus"])
    shown = command("env").stdout
    assert all(str(facts[name]) in shown for name in ("cpu", "python", "cache"))


def test_models_lists_what_can_be_pulled(command: Command) -> None:
    models = command("models", "--json").json["models"]
    assert [model["name"] for model in models] == [model.name for model in hub.known_models()]
    assert [model["name"] for model in models if model["default"]] == [hub.DEFAULT_MODEL]
    there = [model["name"] for model in models if model["path"] is not None]
    assert there == [model.name for model in hub.known_models() if model.folder is not None]
    assert "not fetched" in command("models").stdout


def test_inspect_shows_what_describe_says(command: Command, tiny_model: Path) -> None:
    assert command("inspect", "--model", str(tiny_model), "--json").json == model_dir.describe(tiny_model)
    shown = command("inspect", "--model", str(tiny_model)).stdout
    assert "sizes.hidden_size" in shown
    assert f"{(tiny_model / 'model.safetensors').stat().st_size:,}" in shown


def test_help_of_the_command_names_every_sub_command(command: Command) -> None:
    from mtp_rt.cli.main import COMMANDS

    shown = command("--help").stdout
    assert all(f"\n  {name}  " in shown for name in COMMANDS)
    assert command().stderr or command().stdout


def test_importing_the_package_stays_light() -> None:
    heavy = {"torch", "onnx", "transformers", "numpy", "tokenizers", "jinja2", "typer", "rich", "gguf"}
    program = f"import sys, mtp_rt; sys.exit(','.join({heavy!r} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["generate", "--help"], ["env"]], ids=str)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"torch", "onnx", "transformers", "numpy", "tokenizers", "jinja2", "rich", "gguf"}
    program = (
        "import sys\nfrom mtp_rt.cli.main import main\n"
        f"sys.argv = ['mtp-rt', *{arguments!r}]\n"
        f"try:\n    main()\nexcept SystemExit:\n    sys.exit(','.join({heavy!r} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away_is_no_traceback(tiny_model: Path) -> None:
    command = [
        *MTP_RT,
        "generate",
        "--model",
        str(tiny_model),
        "--ignore-eos",
        "--max-tokens",
        "900",
        "import ",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 1
    assert process.stderr.read() == b""


def test_ctrl_c_ends_generate_with_130(tiny_model: Path) -> None:
    command = [*MTP_RT, "generate", "--model", str(tiny_model), "--ignore-eos", "--max-tokens", "1000"]
    process = subprocess.Popen(
        [*command, "--isa", "generic", "import "], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.read(1)  # it is writing
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in stderr


def test_import_converts_and_replaces_only_when_told(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "convert")
    from gguf_files import write_gguf

    source, target = write_gguf(tmp_path / "model.gguf"), tmp_path / "out"
    facts = command("import", str(source), str(target), "--quantize", "q4", "--lm-head", "q8", "--json").json
    assert facts == model_dir.describe(target)
    assert facts["quantization"]["mlp.up_proj"].keys() == {"q4"}
    assert facts["quantization"]["embed_tokens"].keys() == {"q8"}
    refused = command("import", str(source), str(target))
    assert (refused.status, refused.stdout) == (1, "")
    assert "not empty" in refused.stderr
    shown = command("import", "--force", "--quantize", "f32", "--no-two-stage-head", str(source), str(target))
    assert (shown.status, shown.stdout) == (0, f"{target}\n")
    facts = command("inspect", "--model", str(target), "--json").json
    assert facts["quantization"]["mlp.up_proj"].keys() == {"f32"}
    assert facts["two_stage_head"] is None
