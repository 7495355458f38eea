"""Language models that predict several tokens per step: the same text, sooner."""

from __future__ import annotations

from mtp_rt._core import version as _version
from mtp_rt.paths import cmake_dir, include_dir

__version__ = _version()

__all__ = ["__version__", "cmake_dir", "include_dir"]
