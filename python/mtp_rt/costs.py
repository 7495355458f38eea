"""The cost curve that adaptive drafting follows: what a verify call costs by its width, on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from mtp_rt import _core, machine

MAX_WIDTH = 16


def verify_costs(engine: _core.Engine, model_dir: Path, cache: Path) -> list[float]:
    """Return the milliseconds of a verify call of 1 .. 16 rows, measured once per model and machine.

    The curve lies in `cache` under everything it depends on: the model's shapes and number kinds, processor,
    instruction set, threads and version. A curve that cannot be read is measured again.
    """
    key = _key(engine, model_dir)
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / "costs" / f"{name}.json"
    known = _read(path, key)
    if known is not None:
        return known
    curve = _core.measure_costs(engine, MAX_WIDTH)
    # A cache that cannot be written costs the next start a measurement, nothing more.
    with contextlib.suppress(OSError):
        _write(path, {"key": key, "verify_ms": curve})
    return curve


def _key(engine: _core.Engine, model_dir: Path) -> dict[str, Any]:
    info = engine.info
    return {
        "config": hashlib.sha256((model_dir / "config.json").read_bytes()).hexdigest(),
        "weight_file_bytes": (model_dir / "model.safetensors").stat().st_size,
        "engine": info.name,
        "isa": info.isa,
        "threads": info.threads,
        "cpu": machine.cpu_name(),
        "version": _core.version(),
    }


def _read(path: Path, key: dict[str, Any]) -> list[float] | None:
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or entry.get("key") != key:
        return None
    curve = entry.get("verify_ms")
    if not isinstance(curve, list) or len(curve) != MAX_WIDTH:
        return None
    if not all(isinstance(ms, float) and math.isfinite(ms) and ms > 0 for ms in curve):
        return None
    return curve


def _write(path: Path, entry: dict[str, Any]) -> None:
    """Write the entry beside its place and move it there: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".costs-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(entry, file, indent=1)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
