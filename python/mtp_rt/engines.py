"""Opening an engine by name, with the library that it runs on."""

from __future__ import annotations

import contextlib
import ctypes
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


# Of CUDA, in the order in which they need each other: the parts of installed nvidia-* packages.
_CUDA_LIBRARIES = ("cudart", "nvrtc", "nvJitLink", "cublasLt", "cublas", "curand", "cufft", "cudnn")


def open_engine(
    model_dir: Path,
    engine: str,
    *,
    provider: str = "cpu",
    isa: str | None,
    threads: int | None,
    **options: Any,
) -> _core.Engine:
    """Return `model_dir` opened; None and 0 leave the choice to the engine. `options` are those of Engine."""
    if engine == "onnxruntime" and provider == "cuda":
        open_cuda_libraries()
    return _core.Engine(
        str(model_dir),
        engine=engine,
        isa=isa or "",
        threads=threads or 0,
        library=library_of(engine, model_dir),
        provider=provider,
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


def open_cuda_libraries() -> list[str]:
    """Open what installed nvidia-* packages have of CUDA and return the files.

    The loader does not look there: a provider of ONNX Runtime finds its libraries only where they are open.
    """
    package = importlib.util.find_spec("nvidia")
    folders = [] if package is None else package.submodule_search_locations or []
    opened = []
    for name in _CUDA_LIBRARIES:
        for file in (
            path for folder in folders for path in sorted(Path(folder).glob(f"*/lib/lib{name}.so.*"))
        ):
            with contextlib.suppress(OSError):  # one that lacks another; the provider says what it needs
                ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
                opened.append(str(file))
    return opened


def _plans_library(model_dir: Path) -> str:
    """Return which TensorRT built a directory's plans; empty where its record does not say so.

    The engine reads the record strictly and says what is wrong with it.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((model_dir / "tensorrt.json").read_bytes())["library"])
    return ""
