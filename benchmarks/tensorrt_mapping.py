"""Builds a model's TensorRT plans and shows which layers its operators became. Needs no GPU.

    pip install "mtp-rt[tensorrt]" && python benchmarks/tensorrt_mapping.py

Prints one JSON object: of each plan its size, the seconds that its building took, the layers by operator, and
what became something else than the layer of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mtp_rt import hub, machine
from mtp_rt.bench import measure
from mtp_rt.export.exporter import TensorRtOptions, export_model
from mtp_rt.export.tensorrt.mapping import OWN_LAYERS

MODEL = "smollm2-135m-mtp"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=MODEL, help="a model directory or a known model")
    parser.add_argument("--context", type=int, default=2048, help="positions of a sequence")
    parser.add_argument("--library", default="tensorrt_rtx", help="tensorrt_rtx or tensorrt")
    args = parser.parse_args()
    source = hub.resolve_model(args.model)
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "plans"
        options = TensorRtOptions([args.context], library=args.library)
        export_model(source, target, tensorrt=options, progress=stopwatch(times))
        record = json.loads((target / "tensorrt.json").read_bytes())
    print(json.dumps(summary(record, times) | {"model": args.model, "date": measure.today()}, indent=2))
    return 0


def stopwatch(times: dict[str, float]) -> Any:
    """Return a progress callback that notes how long each plan took."""
    running: list[tuple[str, float]] = []

    def progress(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if running and running[-1][0] != what:
            name, start = running.pop()
            times[name] = round(now - start, 1)
        if not running:
            running.append((what.removeprefix("building "), now))

    return progress


def summary(record: dict[str, Any], times: dict[str, float]) -> dict[str, Any]:
    plans = [
        {
            **{key: plan[key] for key in ("file", "bytes", "profiles", "fallbacks")},
            "build_seconds": times.get(plan["file"]),
            "operators": plan["operators"],
        }
        for plan in record["plans"]
    ]
    own_layers = {
        plan["file"]: {kind: plan["operators"][kind] for kind in OWN_LAYERS if kind in plan["operators"]}
        for plan in record["plans"]
    }
    return {
        "library": record["library"],
        "version": record["version"],
        "gpu": record["gpu"],
        "layers_of_their_own": own_layers,
        "plans": plans,
        "machine": {"cpu": machine.cpu_name(), "threads": machine.available_cores()},
    }


if __name__ == "__main__":
    sys.exit(main())
