"""A model directory as an int4 model for ONNX Runtime GenAI, made by that project's own builder.

The weights are written out in f32 under their Hugging Face names and given to
`onnxruntime_genai.models.builder`, which quantises them again: 4 bit in blocks of 32 with int8 activations
(accuracy level 4), its fastest form on a CPU.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from mtp_rt.bench.peers import hugging_face, sources
from mtp_rt.errors import UnsupportedError

# Of the builder's options the fastest measured here (docs/benchmarks.md): symmetric int4 everywhere, an own
# int4 output matrix instead of one shared with the embedding.
OPTIONS = {
    "block_size": "32",
    "accuracy_level": "4",
    "is_symmetric": "true",
    "shared_embeddings": "false",
    "hf_token": "false",
}
BUILD_TIMEOUT = 1800.0
STDERR_SHOWN = 800


def described() -> dict[str, Any]:
    """Return the options as a report shows them."""
    return {"precision": "int4", **{name: value for name, value in OPTIONS.items() if name != "hf_token"}}


def build(model: str) -> Path:
    """Return the folder of the int4 model, built on first use and cached.

    Raises:
        UnsupportedError: the builder lacks a package or refuses the model.
    """
    options: dict[str, object] = {
        "builder": metadata.version("onnxruntime-genai"),
        "options": OPTIONS,
    }
    return sources.converted("onnxruntime-genai", model, options, lambda target: _build(Path(model), target))


def _build(model: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".weights-") as scratch:
        weights = Path(scratch) / "weights"
        hugging_face.write(model, weights)
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
        command += ["-i", str(weights), "-o", str(target), "-p", "int4", "-e", "cpu"]
        command += ["-c", str(Path(scratch) / "cache"), "--extra_options"]
        command += [f"{name}={value}" for name, value in OPTIONS.items()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT, check=False)
    if done.returncode != 0 or not (target / "model.onnx").is_file():
        raise UnsupportedError(
            f"the model builder of onnxruntime-genai failed: {done.stderr.strip()[-STDERR_SHOWN:]}"
        )
