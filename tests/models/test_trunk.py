"""The PyTorch trunk against transformers, the float64 reference and the native engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mtp_rt import _core
from mtp_rt.models.pretrained import load_hf_trunk, load_trunk
from reference import Reference
from tiny_llama import tiny_llama


def test_a_hugging_face_folder_gives_the_logits_of_transformers(tmp_path: Path) -> None:
    theirs = tiny_llama(num_hidden_layers=3, tie_word_embeddings=False).eval()
    theirs.save_pretrained(tmp_path / "hf")
    ours = load_hf_trunk(tmp_path / "hf")
    tokens = torch.randint(0, 320, (2, 40))
    with torch.no_grad():
        expected = theirs(tokens, output_hidden_states=True)
        found = ours(tokens, taps=(0, 1))
    torch.testing.assert_close(found.logits_BTV, expected.logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.states_BTD, expected.hidden_states[-1], rtol=0, atol=1e-4)
    torch.testing.assert_close(found.taps_BTLD[:, :, 0], expected.hidden_states[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(found.taps_BTLD[:, :, 1], expected.hidden_states[2], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["f32", "q8", "half_rope", "untied", "head_dim_64"])
def test_a_model_directory_gives_the_logits_of_the_reference(
    name: str, variant: Callable[[str], Path]
) -> None:
    path = variant(name)
    trunk, reference = load_trunk(path), Reference(path)
    tokens = np.random.default_rng(5).integers(0, reference.config.vocab_size, 40).tolist()
    expected = reference.run(tokens)
    with torch.no_grad():
        found = trunk(torch.tensor([tokens]), taps=(0,))
    torch.testing.assert_close(found.logits_BTV[0].double(), expected.logits, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.states_BTD[0].double(), expected.states, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.taps_BTLD[0, :, 0].double(), expected.taps[0], rtol=0, atol=1e-4)


def disagreement(path: Path, tokens: list[int]) -> tuple[float, float]:
    """Return the share of rows whose likeliest token is another one in the native engine, and the mean KL."""
    engine = _core.Engine(str(path), threads=1, max_rows=len(tokens), two_stage_head=False)
    rows = list(range(len(tokens)))
    every = [True] * len(tokens)
    logits, _, _ = engine.verify([0] * len(tokens), tokens, rows, [row - 1 for row in rows], every)
    with torch.no_grad():
        expected = load_trunk(path)(torch.tensor([tokens])).logits_BTV[0].log_softmax(dim=-1)
    found = torch.from_numpy(logits).log_softmax(dim=-1)
    kl = (expected.exp() * (expected - found)).sum(dim=-1).mean()
    return float((expected.argmax(dim=-1) != found.argmax(dim=-1)).float().mean()), float(kl)


def test_the_native_engine_is_close(tiny_model: Path) -> None:
    """What is left between both is the engine's 8-bit activations."""
    tokens = np.random.default_rng(2).integers(3, 200, 100).tolist()
    differing, kl = disagreement(tiny_model, tokens)
    assert differing <= 0.05
    assert kl < 0.01


@pytest.mark.model
def test_the_native_engine_is_close_on_the_real_model(real_model: Path) -> None:
    from mtp_rt.tokenizer import Tokenizer

    text = (
        "The sky is blue because sunlight is scattered by the molecules of the air, and blue light most. " * 3
    )
    differing, kl = disagreement(real_model, Tokenizer.load(real_model).encode(text)[:60])
    assert differing <= 0.05
    assert kl < 0.02
