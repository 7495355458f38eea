"""Mutated tensorrt.json: what opens says what Python's json reads in it, all else is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

from mutations import MutableText
from tiny_dirs import tiny_draft

from mtp_rt import _core_testing
from mtp_rt.errors import ModelFormatError

MUTATIONS = 4000
PLAN = "verify.64.engine"


def record() -> str:
    profile = {"batch": [1, 1, 4], "width": [1, 4, 16], "rows": [1, 4, 16]}
    plan = {"file": PLAN, "graph": "verify", "context": 64, "capacity": 128, "bytes": 4}
    plan |= {"sha256": "0" * 64, "profiles": [profile], "fallbacks": []}
    head = {"format_version": 1, "library": "tensorrt", "version": "10.15.1.29"}
    head |= {"gpu": {"name": "NVIDIA H100", "compute_capability": "9.0"}, "weights_sha256": "0" * 64}
    return json.dumps(head | {"batch": 4, "step_width": 16, "prompt_width": 128, "plans": [plan]})


def test_what_opens_is_what_json_reads(tmp_path: Path) -> None:
    folder = tiny_draft().write(tmp_path / "model")
    (folder / PLAN).write_bytes(b"plan")
    model = _core_testing.ModelDir.open(str(folder))
    texts, opened = MutableText(record(), 1), 0
    for _ in range(MUTATIONS):
        text = texts.next()
        (folder / "tensorrt.json").write_bytes(text)
        try:
            values = _core_testing.PlansRecord.read(model).values
        except ModelFormatError as error:
            assert error.file in {"tensorrt.json", PLAN}
            continue
        opened += 1
        written = json.loads(text)
        gpu = written.get("gpu")
        expected = None if gpu is None else (gpu["name"], gpu["compute_capability"])
        assert values["gpu"] == expected
        for key in ["library", "version", "weights_sha256", "batch", "step_width", "prompt_width"]:
            assert values[key] == written[key], text
        for plan, read in zip(written["plans"], values["plans"], strict=True):
            for key in ["file", "graph", "context", "capacity", "bytes", "sha256"]:
                assert read[key] == plan[key], text
            sizes = [
                tuple(tuple(bucket[key]) for key in ("batch", "width", "rows")) for bucket in plan["profiles"]
            ]
            assert read["profiles"] == sizes
    assert 0 < opened < MUTATIONS / 2
