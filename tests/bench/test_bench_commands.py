"""The bench commands on the tiny model: the JSON of DESIGN section 7, and drafts that change no token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def bench(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `mtp-rt bench` as a user would, in a folder that is also the cache."""
    program = "from mtp_rt.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "bench", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"MTP_RT_CACHE": str(folder), "PATH": "/usr/bin:/bin"},
        check=False,
    )


def result_of(*arguments: str, folder: Path) -> dict[str, Any]:
    done = bench(*arguments, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_decode(tiny_model: Path, tmp_path: Path) -> None:
    """Oracle: the surface of DESIGN section 7, and plain decoding itself: no token differs."""
    arguments = [
        "decode",
        "--model",
        str(tiny_model),
        "--max-tokens",
        "12",
        "--repeat",
        "1",
        "--batch",
        "1,4",
    ]
    sampled = ["--ignore-eos", "--temperature", "0.9", "--seed", "5", "--drafts", "3"]
    result = result_of(*arguments, *sampled, folder=tmp_path)
    wanted = {
        "plain",
        "mtp",
        "speedup",
        "loop_efficiency",
        "differing_tokens",
        "tokens",
        "prompts",
        "per_source",
    }
    assert wanted | {"machine", "model", "date", "batches"} <= result.keys()
    assert {"tokens_per_second", "tokens_per_step", "accepted_per_position", "draft_share"} <= result[
        "mtp"
    ].keys()
    assert {"cpu", "isa", "threads", "read_bandwidth_gb_s"} <= result["machine"].keys()
    assert [one["batch"] for one in result["batches"]] == [1, 4]
    assert all(one["differing_tokens"] == 0 for one in result["batches"])
    assert all(
        {"tokens_per_step", "speedup", "tokens"} <= one.keys() for one in result["per_source"].values()
    )
    assert (result["tokens"], result["prompts"]) == (12 * 12, 12)


def test_steps(tiny_model: Path, tmp_path: Path) -> None:
    arguments = ["--widths", "1,3", "--contexts", "8,40", "--repeat", "2"]
    result = result_of("steps", "--model", str(tiny_model), *arguments, folder=tmp_path)
    assert {context: set(widths) for context, widths in result["verify_ms"].items()} == {
        "8": {"1", "3"},
        "40": {"1", "3"},
    }
    assert all(ms > 0 for widths in result["verify_ms"].values() for ms in widths.values())
    assert result["verify_ratio"]["8"]["1"] == 1.0
    assert result["draft_ms"] is None
    assert {"qkv", "attention", "mlp", "head"} <= result["split_ms"].keys()
    assert result["weight_bytes"] > 0
    assert result["bandwidth_fraction"] > 0
    assert result["read_bandwidth_gb_s"] == result["machine"]["read_bandwidth_gb_s"]


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["decode", "--batch", "0"], 2, "--batch"),
        (["decode", "--drafts", "many"], 2, "--drafts"),
        (["decode", "--temperature", "nan"], 2, "temperature"),
        (["decode", "--prompts", "absent.jsonl"], 1, "absent.jsonl"),
        (["decode", "--prompts", "long.jsonl"], 1, "1024"),
        (["steps", "--widths", "1,x"], 2, "--widths"),
        (["steps", "--contexts", "5000"], 1, "contexts"),
        (["peers", "--against", "abacus"], 2, "abacus"),
        (["peers", "--against", "llama.cpp"], 1, "llama"),
    ],
)
def test_wrong_use_is_told(
    arguments: list[str], status: int, named: str, tiny_model: Path, tmp_path: Path
) -> None:
    """Oracle: exit codes of DESIGN section 7: 2 for usage, 1 for everything else, and no traceback."""
    (tmp_path / "long.jsonl").write_text(json.dumps({"prompt": "word " * 3000}), encoding="utf-8")
    done = bench(*arguments, "--model", str(tiny_model), folder=tmp_path)
    assert done.returncode == status
    assert named in done.stderr
    assert "Traceback" not in done.stderr
