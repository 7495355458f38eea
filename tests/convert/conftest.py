"""Fixtures of the convert room."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf_files import write_gguf


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid tiny Llama GGUF: F32 matrices, byte-level tokenizer, chat template."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")
