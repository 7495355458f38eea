"""Opening an engine by name, with the library that it runs on."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from mtp_rt import _core

ENGINES = ("native", "onnxruntime", "tensorrt")
LIBRARY_VARIABLES = {"onnxruntime": "MTP_RT_ONNXRUNTIME_LIBRARY", "tensorrt": "MTP_RT_TENSORRT_LIBRARY"}

# Where installed packages keep their shared libraries: package, files in its folder.
_LIBRARIES = {
    "onnxruntime": ("onnxruntime", "capi/libonnxruntime.so*"),
    "tensorrt": ("tensorrt_libs", "libnvinfer.so.*"),
    "tensorrt_rtx": ("tensorrt_rtx_libs", "libtensorrt_rtx.so.*"),
}


def open_engine(
    model_dir: Path, engine: str, *, isa: str | None, threads: int | None, **options: Any
) -> _core.Engine:
    """Return `model_dir` opened; None and 0 leave the choice to the engine. `options` are those of Engine."""
    return _core.Engine(
        str(model_dir),
        engine=engine,
        isa=isa or "",
        threads=threads or 0,
        library=library_of(engine, model_dir),
        **options,
    )


def library_of(engine: str, model_dir: Path) -> str:
    """Return the shared library that `engine` opens for a model directory.

    Empty where it needs none, where the environment names one, and where no package is installed that has it:
    the engine then looks for itself. Nothing is imported.
    """
    if engine not in LIBRARY_VARIABLES or os.environ.get(LIBRARY_VARIABLES[engine]):
        return ""
    wanted = _plans_library(model_dir) if engine == "tensorrt" else engine
    if wanted not in _LIBRARIES:
        return ""
    name, pattern = _LIBRARIES[wanted]
    package = importlib.util.find_spec(name)
    folders = [] if package is None else package.submodule_search_locations or []
    found = [file for folder in folders for file in sorted(Path(folder).glob(pattern))]
    return str(found[0]) if found else ""


def _plans_library(model_dir: Path) -> str:
    """Return which TensorRT built a directory's plans; empty where its record does not say so.

    The engine reads the record strictly and says what is wrong with it.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((model_dir / "tensorrt.json").read_bytes())["library"])
    return ""
