"""Peers with drafts of their own: the same text as without, in fewer calls."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mtp_rt.bench.peers import hugging_face_generate, llama_cpp
from mtp_rt.bench.peers.compare import Settings
from mtp_rt.bench.peers.protocol import Setup
from mtp_rt.errors import ArgumentError, UnsupportedError

VOCAB = 8


class FakeLlama:
    """A library whose model continues a text with (token + 1) % 5; it holds every call to its order."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.calls = 0
        self._scores: list[Any] = []

    def llama_model_get_vocab(self, model: None) -> None: ...
    def llama_get_memory(self, context: None) -> None: ...

    def llama_vocab_n_tokens(self, vocab: None) -> int:
        return VOCAB

    def llama_memory_clear(self, memory: None, data: bool) -> None:
        self.read = []

    def llama_memory_seq_rm(self, memory: None, sequence: int, first: int, last: int) -> None:
        assert (sequence, last) == (0, -1) and first <= len(self.read)
        del self.read[first:]

    def llama_batch_get_one(self, array: Any, size: int) -> Any:
        count = range(len(self.read), len(self.read) + size)
        return SimpleNamespace(n_tokens=size, token=list(array), pos=list(count))

    def llama_batch_init(self, tokens: int, embeddings: int, sequences: int) -> Any:
        arrays = ("token", "pos", "n_seq_id", "logits")
        batch = SimpleNamespace(**{name: [0] * tokens for name in arrays}, n_tokens=0)
        batch.seq_id = [[-1] for _ in range(tokens)]
        return batch

    def llama_decode(self, context: None, batch: Any) -> int:
        self.calls += 1
        size = batch.n_tokens
        assert list(batch.pos[:size]) == list(range(len(self.read), len(self.read) + size))
        self.read += batch.token[:size]
        self._scores = [np.eye(VOCAB, dtype=np.float32)[(token + 1) % 5] for token in batch.token[:size]]
        return 0

    def llama_get_logits_ith(self, context: None, row: int) -> Any:
        return self._scores[row].ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def test_llama_with_lookup_writes_the_same_text_in_fewer_calls() -> None:
    """The drafts are right at first, then half right, then wrong, then none."""
    told: list[list[int]] = []

    def lookup(text: Any) -> Any:
        told.append(text.tolist())
        last = told[-1][-1]
        right = [(last + 1) % 5, (last + 2) % 5]
        return np.array([right, [right[0], 7], [7, 7], []][len(told) % 4], np.intc)

    plain, drafted = FakeLlama(), FakeLlama()
    want = llama_cpp.LlamaSystem(plain, None, None).run([3, 4, 0], 24)
    got = llama_cpp.LlamaLookupSystem(drafted, None, None, lookup).run([3, 4, 0], 24)
    assert got.tokens == want.tokens == [(1 + i) % 5 for i in range(24)]
    assert (want.steps, plain.calls) == (23, 24)
    assert got.steps == drafted.calls - 1 < 23
    assert told[0] == [3, 4, 0, 1]


@pytest.mark.parametrize("name", ["transformers", "transformers-lookup"])
def test_transformers_decodes_what_its_own_forward_pass_prefers(
    name: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    monkeypatch.setenv("MTP_RT_CACHE", str(tmp_path))
    path = hugging_face_generate.prepare(str(tiny_model))
    system, settings = hugging_face_generate.load(Setup(name, path, threads=1, context=64))
    assert ("prompt_lookup_num_tokens" in settings) == name.endswith("lookup")
    prompt = [5, 17, 3, 5, 17, 3, 5, 17]
    run = system.run(prompt, 20)
    assert len(run.tokens) == 20
    assert run.steps == 19 if name == "transformers" else run.steps <= 19
    text = [*prompt, *run.tokens]
    scores = system._model(torch.tensor([text])).logits[0, len(prompt) - 1 : -1].float()
    margin = scores.max(dim=-1).values - scores.gather(1, torch.tensor(run.tokens)[:, None])[:, 0]
    assert margin.max() < 0.1  # bfloat16 rounds by width


@pytest.mark.parametrize("ours", [{"engine": "tensorrt"}, {"engine": "onnxruntime", "provider": "cuda"}])
def test_beside_a_gpu_no_peer_stays_on_the_cpu(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: dict[str, str]
) -> None:
    with pytest.raises(
        ArgumentError, match=r"llama\.cpp runs on the CPU; beside an engine on a GPU use transformers"
    ):
        Settings(("transformers", "llama.cpp"), 1, 8, 1, **ours)
    assert Settings(("transformers",), 1, 8, 1, **ours).engine == ours["engine"]
    pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("MTP_RT_CACHE", str(tmp_path))
    path = hugging_face_generate.prepare(str(tiny_model))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnsupportedError, match="torch finds no GPU"):
        hugging_face_generate.load(Setup("transformers", path, threads=1, context=64, **ours))
