"""Runs the command in this process."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from running import Command, Done

from mtp_rt.cli.main import main


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Command:
    """`command(*arguments, stdin=...)`, with a cache of its own."""
    monkeypatch.setenv("MTP_RT_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str, stdin: str | bytes = b"") -> Done:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "argv", ["mtp-rt", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsysbinary.readouterr()
        status = ended.value.code
        assert status is None or isinstance(status, int)
        return Done(status or 0, out.decode(), err.decode())

    return run
