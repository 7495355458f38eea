"""Opening an engine by name, with the library that it runs on."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from mtp_rt import _core

ENGINES = ("native", "onnxruntime")
LIBRARY_VARIABLE = "MTP_RT_ONNXRUNTIME_LIBRARY"


def open_engine(
    model_dir: Path, engine: str, *, isa: str | None, threads: int | None, **options: Any
) -> _core.Engine:
    """Return `model_dir` opened; None and 0 leave the choice to the engine. `options` are those of Engine."""
    return _core.Engine(
        str(model_dir),
        engine=engine,
        isa=isa or "",
        threads=threads or 0,
        library=library_of(engine),
        **options,
    )


def library_of(engine: str) -> str:
    """Return the shared library that `engine` opens.

    Empty where it needs none, where the environment names one, and where no onnxruntime is installed: the
    engine then looks for itself. Nothing is imported.
    """
    if engine != "onnxruntime" or os.environ.get(LIBRARY_VARIABLE):
        return ""
    package = importlib.util.find_spec("onnxruntime")
    folders = [] if package is None else package.submodule_search_locations or []
    found = [file for folder in folders for file in sorted(Path(folder).glob("capi/libonnxruntime.so*"))]
    return str(found[0]) if found else ""
