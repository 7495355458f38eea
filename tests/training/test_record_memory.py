"""The record stage keeps no more in memory than the shard it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtp_rt.training.distill import record
from mtp_rt.training.distill.record import RecordSettings, record_states
from mtp_rt.training.distill.recorder import Recording
from mtp_rt.training.distill.run_folder import ModelIdentity, RunFolder
from mtp_rt.training.distill.write import WriteSettings, write_text


def test_what_lies_in_shards_is_let_go(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run", ModelIdentity.of(tiny_model))
    write_text(run, tiny_model, WriteSettings(seed=1), tokens=300, slots=4, threads=1)
    seen: list[Recording] = []
    work = record.record_side_by_side
    monkeypatch.setattr(record, "record_side_by_side", lambda *args: seen.extend(args[1]) or work(*args))
    record_states(run, tiny_model, RecordSettings(top_k=4), threads=1)
    assert seen and not any(recording.parts for recording in seen)
