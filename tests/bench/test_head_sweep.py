"""benchmarks/head_sweep.py on the tiny model: points are taught once, counted, timed and shown."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")


@pytest.fixture
def sweep(benchmark_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    script = benchmark_script("head_sweep")
    small = {"draft_vocab": 128, "intermediate_size": 32, "steps": 3, "batch": 16, "warm_up": 1}
    monkeypatch.setattr(script, "BASE", replace(script.BASE, **small, dev_slots=64))
    points = {
        "start point": {},
        "preset medusa": {"preset": "medusa"},
        "trained on 1 draft, applied 4 times": {"heads": 1},
    }
    monkeypatch.setattr(script, "POINTS", points)
    monkeypatch.setattr(script, "TOKENS", 8)
    return script


def write_run(model: Path, out: Path) -> Path:
    from mtp_rt.training.distill.pipeline import open_run
    from mtp_rt.training.distill.record import RecordSettings, record_states
    from mtp_rt.training.distill.write import WriteSettings, write_text

    run = open_run(out, model, resume=False)
    write_text(run, model, WriteSettings(seed=3), tokens=1500, slots=8, threads=1)
    record_states(run, model, RecordSettings(), threads=1)
    return out


def test_points_are_taught_once_and_compared(
    sweep: ModuleType,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, out = write_run(tiny_model, tmp_path / "run"), tmp_path / "sweep"
    arguments = ["head_sweep.py", str(run), str(out), "--model", str(tiny_model), "--repeat", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--teach-only"])
    assert sweep.main() == 0
    assert capsys.readouterr().out == ""
    taught = [(out / f"{number:02}" / "heads" / "checkpoint.pt").stat().st_mtime_ns for number in range(3)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--decode-threads", "1"])
    assert sweep.main() == 0
    again = [(out / f"{number:02}" / "heads" / "checkpoint.pt").stat().st_mtime_ns for number in range(3)]
    assert again == taught
    result = json.loads(capsys.readouterr().out)
    assert list(result["points"]) == list(sweep.POINTS)
    for point in result["points"].values():
        assert len(point["alpha"]) == sweep.DRAFTS
        assert point["slots"] > 0 and point["speedup"] > 0
        assert 1 <= point["tokens_per_step"] <= 1 + sweep.DRAFTS
        assert point["differing_tokens"] == 0
    text = importlib.import_module("report_training").head_sweep(result)
    assert "| preset medusa |" in text
