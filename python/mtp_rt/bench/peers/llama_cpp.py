"""llama.cpp through the C interface of `llama-cpp-python`, on the GGUF file that the model came from."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np

from mtp_rt.bench.peers import LOOKUP, sources
from mtp_rt.bench.peers.protocol import Run, Setup
from mtp_rt.errors import EngineError, UnsupportedError

BATCH = 512  # tokens per prefill call: llama.cpp's default physical batch
DRAFTS = 2  # what llama-cpp-python recommends on a CPU


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
    if not setup.adapter.endswith(LOOKUP):
        return LlamaSystem(llama, model, context), settings
    from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

    lookup = LlamaPromptLookupDecoding(num_pred_tokens=DRAFTS)
    settings |= {"num_pred_tokens": DRAFTS, "max_ngram_size": lookup.max_ngram_size}
    return LlamaLookupSystem(llama, model, context, lookup), settings


class LlamaSystem:
    """One context, emptied before every request."""

    def __init__(self, llama: Any, model: Any, context: Any) -> None:
        self._llama = llama
        self._context = context
        self._vocab_size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))

    def run(self, prompt: list[int], max_tokens: int) -> Run:
        """Decode greedily; the best token is read off the logits in place, faster than a sampler chain."""
        started = time.perf_counter()
        tokens, steps = [self._read(prompt)], 0
        first = time.perf_counter()
        while len(tokens) < max_tokens:
            tokens += self._step([*prompt, *tokens], max_tokens - len(tokens))
            steps += 1
        return Run(tokens, first - started, time.perf_counter() - first, steps)

    def _read(self, prompt: list[int]) -> int:
        """Read the prompt into an empty context; return the first token."""
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)
        for start in range(0, len(prompt), BATCH):
            self._decode(prompt[start : start + BATCH])
        return self._best()

    def _step(self, text: list[int], most: int) -> list[int]:
        """Return the tokens behind `text`, whose last one is not read yet: 1 to `most` of them."""
        self._decode(text[-1:])
        return [self._best()]

    def _decode(self, tokens: list[int]) -> None:
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        status = self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(array, len(tokens)))
        if status != 0:
            raise EngineError(f"llama_decode returned {status} for {len(tokens)} tokens")

    def _best(self, row: int = -1) -> int:
        logits = self._llama.llama_get_logits_ith(self._context, row)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocab_size,)).argmax())


class LlamaLookupSystem(LlamaSystem):
    """The same with drafts from llama-cpp-python's prompt lookup, verified in one call."""

    def __init__(self, llama: Any, model: Any, context: Any, lookup: Any) -> None:
        super().__init__(llama, model, context)
        self._lookup = lookup
        self._batch = llama.llama_batch_init(DRAFTS + 1, 0, 1)

    def _step(self, text: list[int], most: int) -> list[int]:
        drafts = [int(token) for token in self._lookup(np.array(text, np.intc))][: most - 1]
        picks = self._verify([text[-1], *drafts], len(text) - 1)
        kept = next((i for i, token in enumerate(drafts) if token != picks[i]), len(drafts))
        memory = self._llama.llama_get_memory(self._context)
        self._llama.llama_memory_seq_rm(memory, 0, len(text) + kept, -1)
        return picks[: kept + 1]

    def _verify(self, tokens: list[int], start: int) -> list[int]:
        """Return the best token behind each of `tokens`, which stand at positions `start`, start + 1, ..."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i] = token, start + i
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, 1
        status = self._llama.llama_decode(self._context, batch)
        if status != 0:
            raise EngineError(f"llama_decode returned {status} for {len(tokens)} tokens")
        return [self._best(row) for row in range(len(tokens))]


def _library() -> Any:
    try:
        import llama_cpp
    except ImportError as error:
        raise UnsupportedError(
            'the peer llama.cpp is not installed: run `pip install "mtp-rt[peers]"` (it compiles for minutes)'
        ) from error
    return llama_cpp
