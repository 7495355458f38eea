"""Registers, shared memory and spills of every CUDA kernel, as the assembler reports them.

    python benchmarks/cuda_resources.py [--architectures 75 90]

Compiles cuda/kernels with the options of the build, which CMake tells. Needs nvcc 13, CMake, Ninja and
c++filt.
Prints JSON: for each architecture each kernel's registers, shared_bytes, stack_bytes and spill_bytes.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ["75", "80", "86", "89", "90", "100", "120"]
KERNEL = re.compile(r"Compiling entry function '(\w+)' for '(sm_\w+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
Report = dict[str, dict[str, dict[str, int]]]  # architecture, kernel, resource
NAME = re.compile(r"(\w+)(?:<(\w+)>)?\(")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architectures", nargs="+", default=ARCHITECTURES, choices=ARCHITECTURES)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(resources(args.architectures, Path(folder)), indent=2))
    return 0


def resources(architectures: list[str], folder: Path) -> Report:
    """Return what every kernel uses on each architecture. `folder` is filled with a build that is not run."""
    listed = ";".join(f"{name}-real" for name in architectures)
    options = ["-DMTP_RT_CUDA=ON", f"-DMTP_RT_CUDA_ARCHITECTURES={listed}"]
    options += ["-DMTP_RT_PYTHON=OFF", "-DMTP_RT_TESTING=OFF", f"-DPython_EXECUTABLE={sys.executable}"]
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "--log-level=WARNING", *options]
    subprocess.run(configure, check=True, stdout=sys.stderr)
    commands = json.loads((folder / "compile_commands.json").read_text(encoding="utf-8"))
    found: Report = {}
    for entry in commands:
        if entry["file"].endswith(".cu"):
            call = shlex.split(entry["command"])
            call[call.index("-o") + 1] = str(folder / "kernel.o")
            done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=folder)
            if done.returncode != 0:
                raise RuntimeError(done.stdout + done.stderr)
            for name, kernels in parse(done.stdout + done.stderr).items():
                found.setdefault(name, {}).update(kernels)
    return {name: dict(sorted(kernels.items())) for name, kernels in found.items()}


def parse(report: str) -> Report:
    """Return the kernels of one report of the assembler."""
    found: Report = {}
    for part in re.split(r"(?=Compiling entry function)", report)[1:]:
        kernel, stack, used = KERNEL.search(part), STACK.search(part), USED.search(part)
        if kernel is None or stack is None or used is None:
            raise RuntimeError(f"the assembler's report reads unlike what is known:\n{part}")
        shared = SHARED.search(part)
        found.setdefault(kernel[2], {})[plain_name(kernel[1])] = {
            "registers": int(used[1]),
            "shared_bytes": int(shared[1]) if shared else 0,
            "stack_bytes": int(stack[1]),
            "spill_bytes": int(stack[2]) + int(stack[3]),
        }
    return found


def plain_name(mangled: str) -> str:
    """Return "kernel" or "kernel<type>" of a mangled name."""
    full = subprocess.run(["c++filt", mangled], capture_output=True, text=True, check=True).stdout
    named = NAME.search(full.replace("(anonymous namespace)::", "").replace("unsigned short", "uint16"))
    if named is None:
        raise RuntimeError(f"no kernel's name in {full}")
    return named[1] + (f"<{named[2]}>" if named[2] else "")


if __name__ == "__main__":
    sys.exit(main())
