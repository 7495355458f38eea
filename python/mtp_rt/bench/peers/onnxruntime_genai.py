"""ONNX Runtime GenAI on an int4 model that its own builder makes from the same weights."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from mtp_rt.bench.peers import onnx_model
from mtp_rt.bench.peers.protocol import Run, Setup
from mtp_rt.errors import UnsupportedError


def prepare(model: str) -> str:
    """Return the folder of the int4 model, built on first use.

    Raises:
        UnsupportedError: the package or what its builder needs is not installed, or the build failed.
    """
    version()
    return str(onnx_model.build(model))


def version() -> str:
    """Return the version of the installed package."""
    return str(_library().__version__)


def load(setup: Setup) -> tuple[GenAiSystem, dict[str, object]]:
    """Return the loaded model and the settings: defaults of a CPU session but for the number of threads."""
    og = _library()
    config = og.Config(setup.path)
    session = {"intra_op_num_threads": setup.threads}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    settings = {
        "threads": setup.threads,
        "past_present_share_buffer": True,
        **onnx_model.described(),
    }
    return GenAiSystem(og, og.Model(config)), settings


class GenAiSystem:
    """One model; a generator per request, as its interface wants it."""

    def __init__(self, og: Any, model: Any) -> None:
        self._og = og
        self._model = model

    def run(self, prompt: list[int], max_tokens: int) -> Run:
        """Decode greedily. `min_length` keeps it from stopping at an end token."""
        length = len(prompt) + max_tokens
        params = self._og.GeneratorParams(self._model)
        params.set_search_options(do_sample=False, batch_size=1, max_length=length, min_length=length)
        generator = self._og.Generator(self._model, params)
        started = time.perf_counter()
        generator.append_tokens(np.array([prompt], dtype=np.int32))
        generator.generate_next_token()
        first = time.perf_counter()
        for _ in range(max_tokens - 1):
            generator.generate_next_token()
        seconds = time.perf_counter() - first
        tokens = [int(token) for token in generator.get_sequence(0)[len(prompt) :]]
        return Run(tokens, first - started, seconds, max_tokens - 1)


def _library() -> Any:
    try:
        import onnxruntime_genai
    except ImportError as error:
        raise UnsupportedError(
            "the peer onnxruntime-genai is not installed: run `pip install onnxruntime-genai` or "
            '`pip install "mtp-rt[peers]"`'
        ) from error
    return onnxruntime_genai
