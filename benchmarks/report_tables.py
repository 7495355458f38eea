"""What the sections of docs/benchmarks.md are written with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Entry = dict[str, Any]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def listed(settings: Entry) -> str:
    shown = {key: value for key, value in settings.items() if key != "system_info"}  # long; in the JSON
    return ", ".join(f"{key} {value}" for key, value in shown.items())
