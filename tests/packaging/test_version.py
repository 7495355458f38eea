"""One version in every place that names it."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import mtp_rt

ROOT = Path(__file__).resolve().parents[2]


def test_the_build_files_agree_with_the_installed_package() -> None:
    native = re.search(r"^project\(mtp_rt VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M)
    assert native is not None
    assert native[1] == version("mtp-rt") == mtp_rt.__version__
