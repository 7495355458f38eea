"""Shared libraries that stand for one of a peer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def fake_library(folder: Path, text: str) -> str:
    """Return the shared library of a C source, compiled in `folder`; skips without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, library = folder / "fake.c", folder / "libfake.so"
    source.write_text(text)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)
