"""How the installed libraries were built, read from their ELF headers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import mtp_rt

PACKAGE = Path(mtp_rt.__file__).parent
LIBRARIES = [PACKAGE / "_core.abi3.so", PACKAGE / "lib" / "libmtp_rt.so"]

pytestmark = pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf")


def readelf(option: str, library: Path) -> str:
    environment = os.environ | {"LC_ALL": "C"}
    command = ["readelf", "--wide", option, library]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_is_hardened(library: Path) -> None:
    assert "BIND_NOW" in readelf("--dynamic", library)
    segments = readelf("--segments", library)
    assert "GNU_RELRO" in segments
    stack = next(line for line in segments.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack


def test_the_library_guards_its_stack() -> None:
    assert "__stack_chk_fail" in readelf("--dyn-syms", PACKAGE / "lib" / "libmtp_rt.so")


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_is_stripped(library: Path) -> None:
    assert ".symtab" not in readelf("--sections", library)


def test_the_module_finds_the_library_beside_it() -> None:
    assert "$ORIGIN/lib" in readelf("--dynamic", PACKAGE / "_core.abi3.so")
