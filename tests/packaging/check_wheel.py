"""Checks a release wheel's contents: python tests/packaging/check_wheel.py dist/mtp_rt-*.whl"""

from __future__ import annotations

import sys
import zipfile
from collections import Counter
from pathlib import Path

MODELS = "mtp_rt/hub/packages/"
CUDA_PART = "mtp_rt/lib/libmtp_rt_cuda.so"
PART = "the CUDA part"
WITHOUT = "the wheel without models and CUDA part"
MODEL_LIMIT_MB = 12  # of each
LIMITS_MB = {WITHOUT: 10, PART: 5}
NEEDED = {
    "mtp_rt/__init__.py",
    "mtp_rt/_core.abi3.so",
    "mtp_rt/_core.pyi",
    "mtp_rt/py.typed",
    "mtp_rt/export/graphs/trunk.py",
    "mtp_rt/lib/libmtp_rt.so",
    "mtp_rt/lib/cmake/mtp_rt/mtp_rt-config.cmake",
    "mtp_rt/include/mtp_rt/engine.h",
}


def problems(wheel: Path) -> list[str]:
    """Return what is wrong with `wheel`; an empty list if nothing is."""
    names = zipfile.ZipFile(wheel).namelist()
    found = [f"{name} is missing" for name in sorted(NEEDED - set(names))]
    found += [f"{name} is for tests only" for name in names if "_testing" in name]
    found += [f"{name} is no file of ours" for name in names if not name.startswith(("mtp_rt/", "mtp_rt-"))]
    if "-cp310-abi3-" not in wheel.name:
        found.append("it is not one stable-ABI wheel for every Python from 3.10")
    return found + too_large(zipfile.ZipFile(wheel).infolist())


def too_large(files: list[zipfile.ZipInfo]) -> list[str]:
    """Return which part of the wheel takes more than it may."""
    sizes = part_sizes(files)
    limits = {name: LIMITS_MB.get(name, MODEL_LIMIT_MB) for name in sizes}
    return [
        f"{name}: {size / 1e6:.1f} MB, more than {limits[name]}"
        for name, size in sizes.items()
        if size > limits[name] * 10**6
    ]


def part_sizes(files: list[zipfile.ZipInfo]) -> dict[str, int]:
    """Return the bytes in the wheel of each model, of the CUDA part if there is one, and of the rest."""
    sizes = Counter[str]()
    for file in files:
        if file.filename.startswith(MODELS):
            sizes[file.filename.removeprefix(MODELS).split("/")[0]] += file.compress_size
        else:
            sizes[PART if file.filename == CUDA_PART else WITHOUT] += file.compress_size
    return dict(sizes)


def sizes(wheel: Path) -> list[str]:
    """Return lines that say what the wheel and its parts take."""
    parts = part_sizes(zipfile.ZipFile(wheel).infolist())
    listed = [f"  {name}: {size / 1e6:.2f} MB" for name, size in sorted(parts.items())]
    return [f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, good", *listed]


def main() -> int:
    """Check the wheels named on the command line."""
    wheels = [Path(argument) for argument in sys.argv[1:]]
    found = [f"{wheel.name}: {problem}" for wheel in wheels for problem in problems(wheel)]
    print("\n".join(found or [line for wheel in wheels for line in sizes(wheel)]))
    return 1 if found or not wheels else 0


if __name__ == "__main__":
    sys.exit(main())
