"""Includes run one way: the C++ rooms of docs/design.md, read from every file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from repository import ROOT, files, name

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
SOURCES = ROOT / "cpp" / "src"
PUBLIC = ROOT / "cpp" / "include" / "mtp_rt"
CUDA = ROOT / "cuda"
SUFFIXES = {".h", ".cpp", ".inl", ".cu", ".cuh"}

# What a file of each room may include: other rooms, and public headers ("*": all of them).
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "base": (set(), {"token", "error"}),
    "io": ({"base"}, {"token", "error", "model_config", "model_dir"}),
    "sampling": ({"base"}, {"token", "error", "sampling"}),
    "decode": ({"base", "sampling"}, {"*"}),
    "engines": (
        {"base", "io", "engines/cuda", "engines/native", "engines/onnxruntime", "engines/tensorrt"},
        {"token", "error", "model_config", "model_dir", "sampling", "engine"},
    ),
    "engines/native": (
        {"base", "io", "sampling", "engines"},
        {"token", "error", "model_config", "model_dir", "sampling", "engine"},
    ),
    "engines/graphs": (
        {"base", "io", "sampling", "engines"},
        {"token", "error", "model_config", "model_dir", "sampling", "engine", "device_loop"},
    ),
    "engines/onnxruntime": (
        {"base", "io", "engines/graphs"},
        {"token", "error", "model_config", "model_dir", "engine"},
    ),
    "engines/cuda": (set(), {"token", "error", "engine", "device_loop"}),
    "engines/tensorrt": (
        {"base", "io", "engines/cuda", "engines/graphs"},
        {"token", "error", "model_config", "model_dir", "engine"},
    ),
    "bindings": ({"base", "io", "sampling", "decode", "engines", "engines/cuda", "engines/native"}, {"*"}),
    "bindings/testing": (
        {
            *("bindings", "base", "io", "sampling", "decode", "cuda"),
            *("engines", "engines/cuda", "engines/native", "engines/onnxruntime", "engines/tensorrt"),
        },
        {"*"},
    ),
    # Built on its own and opened by name: only its tests may include it.
    "cuda": ({"base", "sampling", "decode", "engines", "engines/cuda"}, {"*"}),
}
PUBLIC_ORDER = ["token", "error", "model_config", "model_dir", "sampling", "engine", "acceptance", "drafting"]
PUBLIC_ORDER += ["sequence", "device_loop", "decoder", "cost_curve", "scheduler", "mtp_rt"]


def room(path: Path) -> str:
    if path.is_relative_to(ROOT / "cpp" / "bindings"):
        return "bindings/testing" if path.parent.name == "testing" else "bindings"
    if path.is_relative_to(CUDA):
        return "cuda"
    parts = path.relative_to(SOURCES).parts
    return "/".join(parts[:2]) if parts[0] == "engines" and len(parts) > 2 else parts[0]


def included_files(path: Path) -> list[Path]:
    """Our own files that `path` includes: found beside it or from a folder that compilers are given."""
    roots = [path.parent, SOURCES, ROOT / "cpp" / "bindings", PUBLIC.parent, CUDA]
    found = []
    for target in INCLUDE.findall(path.read_text()):
        hits = [(root / target).resolve() for root in roots if (root / target).is_file()]
        found += hits[:1]
    return found


@pytest.mark.parametrize("path", files("cpp/src", "cpp/bindings", "cuda", suffixes=SUFFIXES), ids=name)
def test_includes_follow_the_table(path: Path) -> None:
    here = room(path)
    assert here in ROOMS, f"say in ROOMS what {here} may include, and in docs/design.md what it is"
    rooms, headers = ROOMS[here]
    for included in included_files(path):
        if included.parent == PUBLIC:
            assert "*" in headers or included.stem in headers, f"{here} may not include {name(included)}"
        else:
            assert room(included) in rooms | {here}, f"{here} may not include {name(included)}"


@pytest.mark.parametrize("path", files("cpp/include", suffixes={".h"}), ids=name)
def test_public_headers_include_only_public_headers_below_them(path: Path) -> None:
    below = PUBLIC_ORDER[: PUBLIC_ORDER.index(path.stem)]
    for target in INCLUDE.findall(path.read_text()):
        assert "/" not in target or Path(target).stem in below, target
        assert not target.endswith(".h") or target.startswith("mtp_rt/"), f"{target}: no foreign header"


@pytest.mark.parametrize("path", files("cpp/include", suffixes={".h"}), ids=name)
def test_public_headers_have_no_compile_time_switches(path: Path) -> None:
    assert not re.search(r"^\s*#\s*(if|ifdef|ifndef|define)\b", path.read_text(), re.MULTILINE)
