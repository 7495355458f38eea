"""llama.cpp through the C interface of `llama-cpp-python`, on the GGUF file that the model came from."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np

from mtp_rt.bench.peers import sources
from mtp_rt.bench.peers.protocol import Run, Setup
from mtp_rt.errors import EngineError, UnsupportedError

BATCH = 512  # tokens per prefill call: llama.cpp's default physical batch


def prepare(model: str) -> str:
    """Return the GGUF file that the model directory was imported from.

    Raises:
        UnsupportedError: llama-cpp-python is not installed, or no such file is known.
    """
    version()
    return str(sources.gguf_file(model))


def version() -> str:
    """Return the version of the binding, which pins that of llama.cpp."""
    return str(_library().__version__)


def load(setup: Setup) -> tuple[LlamaSystem, dict[str, object]]:
    """Return the loaded model and the settings: memory-mapped, flash attention, repacking where it can."""
    llama = _library()
    model_params = llama.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model_params.load_mode = llama.LLAMA_LOAD_MODE_MMAP
    params = llama.llama_context_default_params()
    params.n_ctx = setup.context
    params.n_batch = params.n_ubatch = BATCH
    params.n_threads = params.n_threads_batch = setup.threads
    params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.no_perf = True
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(setup.path.encode(), model_params)
    if not model:
        raise EngineError(f"llama.cpp could not load {setup.path}")
    context = llama.llama_init_from_model(model, params)
    if not context:
        raise EngineError("llama.cpp could not create a context")
    settings = {
        "threads": setup.threads,
        "flash_attention": True,
        "n_batch": BATCH,
        "load_mode": "mmap",
        "repack": bool(model_params.use_extra_bufts),
        "kv_cache": "f16",
        "system_info": llama.llama_print_system_info().decode(),
    }
    return LlamaSystem(llama, model, context), settings


class LlamaSystem:
    """One context, emptied before every request."""

    def __init__(self, llama: Any, model: Any, context: Any) -> None:
        self._llama = llama
        self._context = context
        self._vocab_size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))

    def run(self, prompt: list[int], max_tokens: int) -> Run:
        """Decode greedily; the best token is read off the logits in place, faster than a sampler chain."""
        llama = self._llama
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        started = time.perf_counter()
        for start in range(0, len(prompt), BATCH):
            self._decode(prompt[start : start + BATCH])
        tokens = [self._best()]
        first = time.perf_counter()
        while len(tokens) < max_tokens:
            self._decode(tokens[-1:])
            tokens.append(self._best())
        return Run(tokens, first - started, time.perf_counter() - first, max_tokens - 1)

    def _decode(self, tokens: list[int]) -> None:
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        status = self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(array, len(tokens)))
        if status != 0:
            raise EngineError(f"llama_decode returned {status} for {len(tokens)} tokens")

    def _best(self) -> int:
        logits = self._llama.llama_get_logits_ith(self._context, -1)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocab_size,)).argmax())


def _library() -> Any:
    try:
        import llama_cpp
    except ImportError as error:
        raise UnsupportedError(
            'the peer llama.cpp is not installed: run `pip install "mtp-rt[peers]"` (it compiles for minutes)'
        ) from error
    return llama_cpp
