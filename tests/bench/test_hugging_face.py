"""A model directory written for peers, loaded by transformers and compared with the float64 reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mtp_rt.bench.peers import hugging_face
from reference import Reference


def test_transformers_computes_the_same_logits(tiny_model: Path, tmp_path: Path) -> None:
    """Oracle: tests/reference.py. A wrong block, scale, row order or config field moves logits far more."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    hugging_face.write(tiny_model, tmp_path / "hf")
    model = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "hf")
    tokens = list(range(5, 45))
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].numpy()
    expected = Reference(tiny_model).run(tokens).logits.numpy()
    np.testing.assert_allclose(logits, expected, atol=2e-4)


def test_half_rotation_moves_pairs_apart() -> None:
    """Oracle: by hand, for two heads of four rows."""
    rows = np.arange(8, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    assert hugging_face.half_rotation(rows, 4)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
