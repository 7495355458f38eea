"""What a processor is called in reports and caches."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtp_rt import machine

GENERATION = "cpu family\t: 25\nmodel\t\t: 1\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"processor\t: 0\n{GENERATION}model name\t: AMD EPYC 7543 32-Core\n\n", "AMD EPYC 7543 32-Core"),
        (f"{GENERATION}model name\t: AMD EPYC\n\nmodel\t\t: 9\n", "AMD EPYC (family 25, model 1)"),
        ("model name\t: AMD EPYC\n", "AMD EPYC"),
    ],
)
def test_a_name_without_a_number_is_told_apart(
    text: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", cpuinfo)
    assert machine.cpu_name() == name


def test_without_a_name_there_is_still_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "nothing")
    assert machine.cpu_name()
