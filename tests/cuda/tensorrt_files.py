"""What of TensorRT is installed on this machine; nothing of it is imported."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

from mtp_rt import _core_testing
from mtp_rt.errors import UnsupportedError

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "MTP_RT_TENSORRT_INCLUDE"


def folders(package: str) -> list[Path]:
    """Where an installed package lies; it is not imported."""
    found = importlib.util.find_spec(package)
    return [] if found is None else [Path(folder) for folder in found.submodule_search_locations or []]


def headers() -> list[Path]:
    """Folders of TensorRT's headers here: what the environment names, and what kernel-lens carries."""
    named = os.environ.get(VARIABLE)
    found = [Path(named)] if named else []
    found += [folder / "include" / "tensorrt" for folder in folders("kernel_lens")]
    return [folder for folder in found if (folder / "NvInfer.h").is_file()]


def rtx_library() -> Path | None:
    """The library of an installed TensorRT-RTX."""
    found = (file for folder in folders("tensorrt_rtx_libs") for file in folder.glob("libtensorrt_rtx.so.*"))
    return next(found, None)


def find_tensorrt(folder: Path) -> tuple[bool, str]:
    """Return whether a build takes the headers in `folder`, and what it says, in one line. Needs cmake."""
    command = ["cmake", f"-D{VARIABLE}={folder}", "-P", str(ROOT / "cmake/find_tensorrt.cmake")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0, " ".join((done.stdout + done.stderr).split())


def fits_rtx(version: str) -> bool:
    """Whether code that was built with such headers may call TensorRT-RTX 1.7."""
    try:
        _core_testing.check_tensorrt_headers(version, "tensorrt_rtx", "1.7.1.116")
    except UnsupportedError:
        return False
    return True
