"""Hugging Face transformers on the same weights in bfloat16, plain or with its prompt lookup."""

from __future__ import annotations

import time
from typing import Any

from mtp_rt.bench.peers import LOOKUP, hugging_face, on_gpu, sources
from mtp_rt.bench.peers.protocol import Run, Setup
from mtp_rt.errors import UnsupportedError

DRAFTS = 10  # what the documentation of transformers uses


def prepare(model: str) -> str:
    """Return the Hugging Face folder of the model, written on first use.

    Raises:
        UnsupportedError: transformers, torch or safetensors is not installed.
    """
    _libraries()
    folder = sources.converted(
        "transformers", model, {}, lambda target: hugging_face.write(model, target / "weights")
    )
    return str(folder / "weights")


def version() -> str:
    """Return the version of the installed package."""
    return str(_libraries()[0].__version__)


def load(setup: Setup) -> tuple[GenerateSystem, dict[str, object]]:
    """Return the loaded model and the settings.

    Raises:
        UnsupportedError: our engine computes on a GPU, and torch cannot.
    """
    transformers, torch = _libraries()
    torch.set_num_threads(setup.threads)
    device = "cuda" if on_gpu(setup.engine, setup.provider) else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError("transformers: torch finds no GPU; install a build of torch for CUDA")
    model = transformers.AutoModelForCausalLM.from_pretrained(setup.path, dtype=torch.bfloat16).eval()
    options = {"prompt_lookup_num_tokens": DRAFTS} if setup.adapter.endswith(LOOKUP) else {}
    settings = {"threads": setup.threads, "device": device, "dtype": "bfloat16", "torch": torch.__version__}
    return GenerateSystem(torch, model.to(device), options), {**settings, **options}


class GenerateSystem:
    """One model behind `generate`."""

    def __init__(self, torch: Any, model: Any, options: dict[str, int]) -> None:
        self._torch = torch
        self._model = model
        self._options = options

    def run(self, prompt: list[int], max_tokens: int) -> Run:
        """Decode greedily. `min_new_tokens` keeps it from stopping at an end token."""
        ids, watch = self._torch.tensor([prompt], device=self._model.device), Watch()
        started = time.perf_counter()
        with self._torch.inference_mode():
            text = self._model.generate(
                ids,
                attention_mask=self._torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=max_tokens,
                min_new_tokens=max_tokens,
                streamer=watch,
                **self._options,
            )
        ended = time.perf_counter()
        tokens = text[0, len(prompt) :].tolist()
        return Run(tokens, watch.first - started, ended - watch.first, watch.calls - 1)


class Watch:
    """What `generate` tells of every step; the prompt comes first."""

    def __init__(self) -> None:
        self.calls = -1  # that gave tokens
        self.first = 0.0

    def put(self, value: Any) -> None:
        """Count a step, and note when the first one was done."""
        self.calls += 1
        if self.calls == 1:
            self.first = time.perf_counter()

    def end(self) -> None:
        """Nothing is left to do."""


def _libraries() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise UnsupportedError(
            'the peer transformers is not installed: run `pip install "mtp-rt[peers]"`'
        ) from error
    return transformers, torch
