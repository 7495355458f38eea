"""Language models that predict several tokens per step: the same text, sooner."""

from __future__ import annotations

from mtp_rt._core import version as _version
from mtp_rt.errors import Error
from mtp_rt.llm import LLM
from mtp_rt.paths import cmake_dir, include_dir
from mtp_rt.results import Completion, Delta, Logprob, Stats
from mtp_rt.sampling_params import SamplingParams

__version__ = _version()

__all__ = [
    "LLM",
    "Completion",
    "Delta",
    "Error",
    "Logprob",
    "SamplingParams",
    "Stats",
    "__version__",
    "cmake_dir",
    "include_dir",
]
