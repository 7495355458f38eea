"""What this machine is: names and numbers that reports and caches are keyed by."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def cpu_name() -> str:
    """Return the processor's name as the kernel reports it, else the architecture's.

    A name without a number, as virtual machines give it, is told apart by family and model: several
    generations of processors share it.
    """
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    first = dict(line.partition(":")[::2] for line in text.split("\n\n")[0].splitlines())
    fields = {key.strip(): value.strip() for key, value in first.items()}
    name = fields.get("model name", "")
    if not name:
        return platform.processor() or platform.machine() or "unknown"
    if any(character.isdigit() for character in name) or not {"cpu family", "model"} <= fields.keys():
        return name
    return f"{name} (family {fields['cpu family']}, model {fields['model']})"


def available_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
