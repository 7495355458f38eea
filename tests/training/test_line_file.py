"""JSON lines that a kill cuts off anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt.errors import ModelFormatError
from mtp_rt.training.distill.line_file import LineAppender, read_lines

LINES = [{"index": index, "text": "ü" * index} for index in range(6)]
WHOLE = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)


@settings(deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_whatever_byte_the_file_ends_at_whole_lines_are_read_and_appending_goes_on(size: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sub" / "lines.jsonl"
        path.parent.mkdir()
        path.write_bytes(WHOLE[:size])
        whole = WHOLE[:size].count(b"\n")
        assert list(read_lines(path)) == LINES[:whole]
        with LineAppender(path) as lines:
            lines.append({"index": 99})
        assert list(read_lines(path)) == [*LINES[:whole], {"index": 99}]


def test_a_line_is_visible_at_once(tmp_path: Path) -> None:
    with LineAppender(tmp_path / "new" / "lines.jsonl") as lines:
        lines.append(LINES[0])
        assert list(read_lines(tmp_path / "new" / "lines.jsonl")) == LINES[:1]


def test_no_file_holds_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "absent.jsonl")) == []


@pytest.mark.parametrize("damage", [b'{"a": 1\n', b"[1]\n", b"\xff\n"])
def test_a_damaged_line_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": 1}\n' + damage + b'{"a": 2}\n')
    with pytest.raises(ModelFormatError, match=r"lines\.jsonl: line 2: is not a JSON object"):
        list(read_lines(path))
