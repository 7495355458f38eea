"""Other runtimes doing the same work: one adapter module per peer, each run in a process of its own."""

from __future__ import annotations

import importlib
from typing import Protocol

from mtp_rt.bench.peers.protocol import Run, Setup

# Name -> module of the adapter in this package. "mtp-rt" is this project, held to the same rules. Peers
# decode plainly; those whose name ends with LOOKUP draft by their own prompt lookup.
LOOKUP = "-lookup"
ADAPTERS = {
    "mtp-rt": "ours",
    "llama.cpp": "llama_cpp",
    "llama.cpp-lookup": "llama_cpp",
    "onnxruntime-genai": "onnxruntime_genai",
    "transformers": "hugging_face_generate",
    "transformers-lookup": "hugging_face_generate",
}
PEERS = tuple(name for name in ADAPTERS if name != "mtp-rt")
PLANNED_PEERS = ("openvino-genai",)

GPU_PEERS = ("transformers", "transformers-lookup")


def on_gpu(engine: str, provider: str) -> bool:
    """Whether our engine computes on a GPU: peers then do so too, or do not take part."""
    return engine == "tensorrt" or provider == "cuda"


class System(Protocol):
    """A loaded model that decodes on request."""

    def run(self, prompt: list[int], max_tokens: int) -> Run:
        """Decode greedily exactly `max_tokens` tokens after `prompt`, past any end token."""


class Adapter(Protocol):
    """What an adapter module offers."""

    def prepare(self, model: str) -> str:
        """Return the path of this system's form of the model, converted once and cached.

        Raises:
            UnsupportedError: the peer is not installed or cannot run this model.
        """

    def version(self) -> str:
        """Return the version of the installed peer."""

    def load(self, setup: Setup) -> tuple[System, dict[str, object]]:
        """Return the loaded system and the settings it runs with, for the report."""


def adapter(name: str) -> Adapter:
    """Return the adapter of a name in ADAPTERS."""
    module: Adapter = importlib.import_module(f"mtp_rt.bench.peers.{ADAPTERS[name]}")
    return module
