"""What adaptive drafting starts from: what the calls of a step cost on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeGuard

from mtp_rt import _core, machine

MAX_WIDTH = 16
MAX_DRAFT_SLOTS = 8
STEADY = 0.9  # of the time of fewer rows: what more rows take at least, where nothing else was running


@dataclass(frozen=True)
class StepCosts:
    """Measured times of the two calls of a step.

    Attributes:
        verify_ms: [w - 1] milliseconds of a verify call of w rows.
        draft_ms: [r - 1] milliseconds of one depth of a draft call of r slots; empty without extra heads.
    """

    verify_ms: list[float]
    draft_ms: list[float]


def open_scheduler(engine: _core.Engine, model_dir: Path, cache: Path) -> _core.Scheduler:
    """Return a scheduler over an idle engine that knows what its steps cost."""
    costs = step_costs(engine, model_dir, cache)
    return _core.Scheduler(engine, verify_ms=costs.verify_ms, draft_ms=costs.draft_ms)


def step_costs(engine: _core.Engine, model_dir: Path, cache: Path) -> StepCosts:
    """Return what the calls of a step cost, measured once per model and machine.

    The curves lie in `cache` under everything they depend on: the model's shapes and number kinds, engine,
    device, processor, instruction set, threads, slots and version. Curves that cannot be read are measured
    again. More rows never take less time: where a measurement says so, something else was running, and it is
    repeated once, and kept only if the shorter of both times are a possible curve.
    """
    slots = min(engine.info.slots, MAX_DRAFT_SLOTS) if engine.info.extra_heads else 0
    key = _key(engine, model_dir) | {"draft_slots": slots}
    name = _core.sha256(json.dumps(key, sort_keys=True).encode())[:16]
    path = cache / "costs" / f"{name}.json"
    known = _read(path, key)
    if known is not None:
        return known
    verify_ms, draft_ms = _core.measure_costs(engine, MAX_WIDTH), _core.measure_draft_costs(engine, slots)
    if not (_is_steady(verify_ms) and _is_steady(draft_ms)):
        verify_ms = list(map(min, verify_ms, _core.measure_costs(engine, MAX_WIDTH)))
        draft_ms = list(map(min, draft_ms, _core.measure_draft_costs(engine, slots)))
    costs = StepCosts(verify_ms, draft_ms)
    if _is_steady(verify_ms) and _is_steady(draft_ms):
        # A cache that cannot be written costs the next start a measurement, nothing more.
        with contextlib.suppress(OSError):
            _write(path, {"key": key} | dataclasses.asdict(costs))
    return costs


def _is_steady(curve: list[float]) -> bool:
    return all(ms >= STEADY * most for ms, most in zip(curve, accumulate(curve, max), strict=True))


def _key(engine: _core.Engine, model_dir: Path) -> dict[str, Any]:
    info = engine.info
    return {
        "config": _core.sha256((model_dir / "config.json").read_bytes()),
        "weight_file_bytes": (model_dir / "model.safetensors").stat().st_size,
        "engine": info.name,
        "device": info.device,
        "isa": info.isa,
        "threads": info.threads,
        "cpu": machine.cpu_name(),
        "version": _core.version(),
    }


def _read(path: Path, key: dict[str, Any]) -> StepCosts | None:
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or entry.get("key") != key:
        return None
    verify_ms, draft_ms = entry.get("verify_ms"), entry.get("draft_ms")
    if _is_curve(verify_ms, MAX_WIDTH) and _is_curve(draft_ms, key["draft_slots"]):
        return StepCosts(verify_ms, draft_ms)
    return None


def _is_curve(value: Any, length: int) -> TypeGuard[list[float]]:
    if not isinstance(value, list) or len(value) != length:
        return False
    return all(isinstance(ms, float) and math.isfinite(ms) and ms > 0 for ms in value)


def _write(path: Path, entry: dict[str, Any]) -> None:
    """Write the entry beside its place and move it there: readers see the old file or the new one."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".costs-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(entry, file, indent=1)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
