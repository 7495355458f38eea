"""Imports run one way: the Python rooms of docs/design.md, read from every file and tried in a process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT, files, name

PACKAGE = ROOT / "python" / "mtp_rt"
EXPORT = ROOT / "export"  # installed as mtp_rt.export
HEAVY_LIBRARIES = {"torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "transformers", "tensorrt_rtx"}
HEAVY_ROOMS = {"models", "training", "tasks", "export"}  # may import them when they are imported

FILES = {"errors", "model_dir", "paths"}
RUN = FILES | {"_core", "sampling_params", "results", "text_stream", "tokenizer", "machine", "hub"}
RUN |= {"request", "costs", "engines"}
# Modules of heavy rooms that a machine without those libraries can use: writing text and recording states.
LIGHT = (
    "__init__ author line_file prompts record recorder report run_folder shards text_quality top_candidates"
)
LIGHT_MODULES = {"training/__init__", "training/files"}
LIGHT_MODULES |= {f"training/distill/{module}" for module in [*LIGHT.split(), "workers", "write"]}
# What a module of each room may import from mtp_rt, its own room aside.
ROOMS: dict[str, set[str]] = {
    "errors": {"_core"},
    "paths": set(),
    "model_dir": {"errors"},
    "sampling_params": {"errors", "_core"},
    "results": {"errors", "_core"},
    "text_stream": {"errors", "_core"},
    "machine": {"errors", "_core"},
    "request": {"errors", "_core", "sampling_params"},
    "runner": {"errors", "_core"},
    "generation": {"errors", "_core", "results", "sampling_params", "text_stream"},
    "completer": {"_core", "generation", "request", "results", "runner", "sampling_params"},
    "costs": {"_core", "machine"},
    "engines": {"_core"},
    "tokenizer": FILES,
    "convert": FILES,
    "hub": FILES | {"convert"},
    "llm": RUN | {"completer", "generation", "runner"},
    "bench": RUN | {"llm", "convert"},
    "export": {"errors", "model_dir", "convert"},
    "models": {"errors", "model_dir", "convert"},
    "training": FILES | {"_core", "request", "tokenizer", "convert", "models"},
    "tasks": {"errors", "model_dir", "models", "training"},
    "cli": RUN | {"llm", "bench", "convert", "training", "tasks", "export", "__init__"},
    "__init__": RUN | {"llm"},
}


def parts(path: Path) -> tuple[str, ...]:
    """The path below the installed package."""
    if path.is_relative_to(EXPORT):
        return ("export", *path.relative_to(EXPORT).parts)
    return path.relative_to(PACKAGE).parts


def room(path: Path) -> str:
    return parts(path)[0].removesuffix(".py")


def is_light(path: Path) -> bool:
    return path.relative_to(PACKAGE).with_suffix("").as_posix() in LIGHT_MODULES


def imports(tree: ast.Module, path: Path) -> Iterator[str]:
    """Full dotted names of everything a module imports, in functions too."""
    package = ["mtp_rt", *parts(path)[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            yield from (".".join([*base, alias.name]) for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    rooms = {"export"} | {child.name.split(".")[0] for child in PACKAGE.iterdir()}
    targets = [target.split(".") for target in imports(ast.parse(path.read_text()), path)]
    ours = [target for target in targets if target[0] == "mtp_rt"]
    return {target[1] if len(target) > 1 and target[1] in rooms else "__init__" for target in ours}


@pytest.mark.parametrize("path", files("python", "export", suffixes={".py"}), ids=name)
def test_imports_follow_the_table(path: Path) -> None:
    here = room(path)
    assert here in ROOMS, f"say in ROOMS what {here} may import, and in docs/design.md what it is"
    wrong = rooms_imported(path) - ROOMS[here] - {here}
    assert not wrong, f"{here} may not import {sorted(wrong)}"


def test_the_table_has_no_cycle() -> None:
    above = {here: allowed & ROOMS.keys() for here, allowed in ROOMS.items()}
    while below := [here for here, allowed in above.items() if not allowed]:
        above = {here: allowed - set(below) for here, allowed in above.items() if here not in below}
    assert not above


def test_light_modules_import_without_heavy_libraries() -> None:
    modules = [
        ".".join(["mtp_rt", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        for path in files("python", suffixes={".py"})
        if (room(path) not in HEAVY_ROOMS or is_light(path)) and path.name != "__main__.py"
    ]
    program = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({sorted(HEAVY_LIBRARIES)!r}))  # importing any of them now raises ImportError
for module in {modules!r}:
    importlib.import_module(module)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
