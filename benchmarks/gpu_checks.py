"""Runs what only a GPU can show of the CUDA part, in one go and under ten minutes.

    python3 benchmarks/gpu_checks.py [--plans DIR] [--graphs DIR] [--out RESULT.json] [--dry-run]

Builds the CUDA part for the GPU at hand, runs its kernels against the host's functions, then again under each
tool of compute-sanitizer. Needs nvcc, CMake, ninja, a C++20 compiler and nlohmann-json's headers, but not the
package. With the plans of a model, which `mtp-rt export --tensorrt` wrote, the tests and measurements of the
tensorrt engine come before the slow tools; they need the package with a CUDA part that was built with
TensorRT's headers. With the graphs of the same model, which `mtp-rt export --onnx` wrote, the onnxruntime
engine does the same work on its provider cuda where onnxruntime-gpu is installed. A check that cannot be run
is said to be skipped, never passed. Writes JSON; exit status 1 if a check fails or runs out of time, 2 where
there is no GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KERNELS = "build/cuda/cuda/cuda_kernels"
SANITIZERS = ("memcheck", "initcheck", "synccheck", "racecheck")
SECONDS = 570.0  # for all checks together
KEPT = 1500  # characters of what a command printed
NO_GPU = 77  # exit status of a program of ours that finds no GPU
ERRORS_FOUND = 9  # of compute-sanitizer, which else passes on that of the program
DECODED = ("--max-tokens", "128", "--ignore-eos")


@dataclasses.dataclass(frozen=True)
class Check:
    """A command that passes or fails.

    Attributes:
        name: what it shows.
        command: run in the repository's root; skipped where its first word is no program.
        needs: the check that must have passed before.
        measures: whether it prints a JSON object, which is kept.
        absent: words of its error that say that what it compares with is not here: it is skipped.
    """

    name: str
    command: tuple[str, ...]
    needs: str | None = None
    measures: bool = False
    absent: tuple[str, ...] = ()


def checks(plans: Path | None = None, graphs: Path | None = None) -> list[Check]:
    """Return all checks, in order; `plans`, `graphs`: a model directory with TensorRT plans, with graphs."""
    configure = ("cmake", "--preset", "cuda", "-DMTP_RT_CUDA_ARCHITECTURES=native")
    build = ("cmake", "--build", "--preset", "cuda", "--target", "cuda_kernels")
    return [
        Check("configure", configure),
        Check("build", build, "configure"),
        Check("kernels", (KERNELS,), "build"),
        *([] if plans is None else engine_checks(str(plans))),
        *([] if graphs is None else graph_checks(str(graphs))),
        *(
            Check(
                f"kernels, {tool}",
                ("compute-sanitizer", "--tool", tool, "--error-exitcode", str(ERRORS_FOUND), KERNELS),
                "kernels",
            )
            for tool in SANITIZERS
        ),
    ]


def engine_checks(plans: str) -> list[Check]:
    """Return those of the tensorrt engine."""
    tests = ("pytest", "-q", "-m", "gpu", "tests/cuda/test_tensorrt_on_gpu.py")
    options = ("--model", plans, "--engine", "tensorrt", "--json")
    decode = ("mtp-rt", "bench", "decode", *options, *DECODED)
    return [
        Check("plans and texts", tests),
        Check("decode", decode, measures=True),
        Check("decode, host's steps", ("env", "MTP_RT_DEVICE_LOOP=0", *decode), measures=True),
        Check("steps", ("mtp-rt", "bench", "steps", *options), measures=True),
        Check(
            "peers",
            ("mtp-rt", "bench", "peers", *options, "--against", "transformers"),
            measures=True,
            absent=("torch finds no GPU", "mtp-rt[peers]"),
        ),
    ]


def graph_checks(graphs: str) -> list[Check]:
    """Return those of the onnxruntime engine on CUDA: the work of engine_checks, then its tests.

    pytest calls a run in which all is skipped a success: its check needs one that was not.
    """
    tests = ("pytest", "-q", "-m", "gpu", "tests/engines/test_onnxruntime_on_gpu.py")
    options = ("--model", graphs, "--engine", "onnxruntime", "--provider", "cuda", "--json")
    absent = ("has no CUDAExecutionProvider", "the library cannot be opened")
    decode = Check(
        "onnxruntime, decode", ("mtp-rt", "bench", "decode", *options, *DECODED), measures=True, absent=absent
    )
    return [
        decode,
        Check("onnxruntime, steps", ("mtp-rt", "bench", "steps", *options), decode.name, measures=True),
        Check("onnxruntime, texts", tests, decode.name),
    ]


def run_all(wanted: Sequence[Check], seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Return what came of each check; those that no time is left for count as out of time."""
    end = time.monotonic() + seconds
    results: list[dict[str, Any]] = []
    passed: set[str] = set()
    for check in wanted:
        if check.needs is not None and check.needs not in passed:
            outcome, detail, took = "skipped", f"needs {check.needs!r}", 0.0
        else:
            start = time.monotonic()
            outcome, detail = run(check, end - start)
            took = time.monotonic() - start
        if outcome == "passed":
            passed.add(check.name)
        print(f"{outcome:11}  {check.name}  ({took:.0f} s)", file=sys.stderr, flush=True)
        results.append({"name": check.name, "outcome": outcome, "seconds": round(took, 1), "detail": detail})
    return results


def result_of(check: Check, printed: str) -> tuple[str, Any]:
    """Return the outcome of a command that ended well, and what is kept of its output."""
    if not check.measures:
        return "passed", printed[-KEPT:].strip()
    try:
        return "passed", json.loads(printed)
    except ValueError:
        return "failed", f"printed no JSON: {printed[-KEPT:].strip()}"


def run(check: Check, seconds: float) -> tuple[str, Any]:
    """Return ("passed", "failed", "skipped" or "out of time", the end of what it printed or its result)."""
    program = check.command[0]
    if shutil.which(program) is None and not (ROOT / program).is_file():
        return "skipped", f"{program} is not here"
    if seconds <= 0:
        return "out of time", ""
    try:
        done = subprocess.run(
            check.command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if check.measures else subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "out of time", f"no end after {seconds:.0f} s"
    if done.returncode == NO_GPU:
        return "skipped", "the program finds no GPU"
    if done.returncode != 0:
        said = (done.stdout + (done.stderr or ""))[-KEPT:].strip()
        return "skipped" if any(words in said for words in check.absent) else "failed", said
    return result_of(check, done.stdout)


def gpu() -> dict[str, str] | None:
    """Return what the driver says of the first GPU; None where it lists none."""
    fields = ("name", "driver_version", "compute_cap", "memory.total")
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return None
    return dict(zip(fields, (value.strip() for value in lines[0].split(",")), strict=False))


def commit() -> str | None:
    """Return the commit checked out, or None where this is no repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plans", type=Path, metavar="DIR", help="a model directory with TensorRT plans")
    parser.add_argument("--graphs", type=Path, metavar="DIR", help="a model directory with ONNX graphs")
    parser.add_argument("--out", type=Path, metavar="RESULT.json", help="write there instead of to stdout")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run none")
    args = parser.parse_args()
    if args.dry_run:
        for check in checks(args.plans, args.graphs):
            print(" ".join(check.command))
        return 0
    card = gpu()
    if card is None:
        print("no GPU: nvidia-smi is not here or lists none", file=sys.stderr)
        return 2
    results = run_all(checks(args.plans, args.graphs))
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    text = json.dumps({"gpu": card, "date": date, "commit": commit(), "checks": results}, indent=2) + "\n"
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 1 if any(result["outcome"] in ("failed", "out of time") for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
