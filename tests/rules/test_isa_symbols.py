"""Each kernel object exports its table and nothing else.

A weak symbol (an inline function of some header) in an object compiled for AVX-512 may be the copy that the
linker keeps for the whole library, which then crashes on older CPUs. Unoptimised builds show the symbols that
inlining hides.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT, files

ISA_FILES = files("cpp/src/engines/native/kernels/isa", suffixes={".cpp"})

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("cmake", "ninja", "nm"))), reason="needs a toolchain"
)


@pytest.fixture(scope="module")
def compile_commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The build's own compiler calls, by source."""
    build = tmp_path_factory.mktemp("isa")
    options = ["-DMTP_RT_PYTHON=OFF", "-DMTP_RT_TESTING=OFF", f"-DPython_EXECUTABLE={sys.executable}"]
    subprocess.run(
        ["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", *options], check=True, capture_output=True
    )
    entries = json.loads((build / "compile_commands.json").read_text())
    return {entry["file"]: shlex.split(entry["command"]) for entry in entries}


def exported(command: list[str], level: str, target: Path) -> tuple[list[str], list[str]]:
    """Strong and weak defined global symbols of the object that `command` makes at optimisation `level`."""
    call = [*command[: command.index("-o")], level, "-o", str(target), "-c", command[-1]]
    subprocess.run(call, check=True)
    listing = subprocess.run(
        ["nm", "-g", "--defined-only", target], check=True, capture_output=True, text=True
    )
    kinds = [line.split()[1:] for line in listing.stdout.splitlines()]
    return [symbol for kind, symbol in kinds if kind.isupper() and kind not in "VWu"], [
        symbol for kind, symbol in kinds if kind in "VWvwu"
    ]


@pytest.mark.parametrize("level", ["-O0", "-O3"])
@pytest.mark.parametrize("source", ISA_FILES, ids=lambda path: path.stem)
def test_one_strong_symbol_and_no_weak_one(
    source: Path, level: str, compile_commands: dict[str, list[str]], tmp_path: Path
) -> None:
    strong, weak = exported(compile_commands[str(source)], level, tmp_path / "kernels.o")
    assert len(strong) == 1, strong
    assert f"kernels_{source.stem}" in strong[0]
    assert not weak


def test_the_check_sees_weak_symbols(tmp_path: Path) -> None:
    """Oracle of the oracle: an inline function that is not inlined is a weak symbol."""
    source = tmp_path / "weak.cpp"
    source.write_text("inline int twice(int x) { return 2 * x; }\nint (*address)(int) = twice;\n")
    strong, weak = exported(["c++", "-o", "", "-c", str(source)], "-O0", tmp_path / "weak.o")
    assert strong == ["address"]
    assert weak == ["_Z5twicei"]
