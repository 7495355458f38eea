"""What the measurements of this folder share: the tests' helpers, and where and when a result was made."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from mtp_rt import _core, machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def use_test_helpers() -> None:
    """Let this process import the modules beside the tests."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "engines")]


def provenance(threads: int) -> dict[str, Any]:
    """Return machine, date and commit of a result; read bandwidth in GB/s, measured now."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    changed = subprocess.run(
        [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
    )
    return {
        "machine": {
            "cpu": machine.cpu_name(),
            "cores": machine.available_cores(),
            "isas": _core.available_isas(),
            "threads": threads,
            "read_bandwidth_gb_s": round(_core.read_bandwidth(threads), 1),
        },
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit.strip() + ("+changes" if changed.stdout.strip() else ""),
    }


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write a result as JSON and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path}", flush=True)
