"""Where the C++ side of the installed package lies, for builds that embed it."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def include_dir() -> str:
    """Return the folder to put on a compiler's include path; it holds `mtp_rt/*.h`."""
    return str(_PACKAGE / "include")


def cmake_dir() -> str:
    """Return the folder of the CMake package: `cmake -Dmtp_rt_ROOT=$(python -c "...cmake_dir()")`."""
    return str(_PACKAGE / "lib" / "cmake" / "mtp_rt")
