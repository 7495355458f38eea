"""Writing results: JSON, aligned tables, raw text."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def write(text: str) -> None:
    """Write text to stdout at once: UTF-8 whatever the locale says, no wrapping, no markup."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def write_json(result: Any) -> None:
    """Write one JSON object to stdout."""
    write(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def note(text: str) -> None:
    """Write a line for the person at the terminal to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def write_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Write `name  value` lines with the values in one column."""
    width = max(len(name) for name, _ in pairs)
    write("".join(f"{name:<{width}}  {value}\n" for name, value in pairs))


def write_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows in aligned columns under a header."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    write("".join(line.rstrip() + "\n" for line in lines))
