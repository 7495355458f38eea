"""Outputs of the native engine against the float64 reference in tests/reference.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from driving import Outputs, chain, verify
from numpy.typing import NDArray

from mtp_rt._core import Engine
from reference import Reference
from tiny_model.variants import VARIANTS

ROWS = 150  # crosses the engine's context block of 128 positions
FLOAT_VARIANTS = [name for name, v in VARIANTS.items() if {v.layers, v.lm_head} <= {"f32", "bf16"}]
QUANTIZED_VARIANTS = [name for name in VARIANTS if name not in FLOAT_VARIANTS]


def random_tokens(reference: Reference) -> list[int]:
    return np.random.default_rng(11).integers(0, reference.config.vocab_size, ROWS).tolist()


def run_full_head(model: Path, tokens: list[int]) -> Outputs:
    engine = Engine(str(model), threads=1, max_rows=ROWS, two_stage_head=False)
    return verify(engine, chain(engine, 0, tokens))


def error_of(found: NDArray[np.float32], expected: torch.Tensor) -> NDArray[np.float64]:
    """Return absolute errors in units of the expected values' standard deviation."""
    return np.abs(found - expected.numpy()) / float(expected.std())


@pytest.mark.parametrize("name", FLOAT_VARIANTS)
def test_float_weights_are_exact_but_for_float32_sums(name: str, variant: Callable[[str], Path]) -> None:
    """Everything within 1e-5 of its spread of exact arithmetic: the cache is float32 too."""
    model = variant(name)
    tokens = random_tokens(Reference(model))
    found = run_full_head(model, tokens)
    exact = Reference(model).run(tokens)
    assert error_of(found.logits, exact.logits).max() <= 1e-5
    assert error_of(found.states, exact.states).max() <= 1e-5
    assert error_of(found.taps, exact.taps.swapaxes(0, 1)).max() <= 1e-5
    assert (found.logits.argmax(-1) == exact.logits.argmax(-1).numpy()).all()


@pytest.mark.parametrize("name", QUANTIZED_VARIANTS)
def test_quantized_weights_stay_near_exact_arithmetic(name: str, variant: Callable[[str], Path]) -> None:
    """8-bit inputs cost at most 3 % (rms) and 20 % (max) of the logits' spread; 95 % of choices hold."""
    model = variant(name)
    tokens = random_tokens(Reference(model))
    found = run_full_head(model, tokens)
    exact = Reference(model).run(tokens).logits
    error = error_of(found.logits, exact)
    assert np.sqrt(np.square(error).mean()) <= 0.03
    assert error.max() <= 0.2
    assert (found.logits.argmax(-1) == exact.argmax(-1).numpy()).mean() >= 0.95


@pytest.mark.parametrize("name", QUANTIZED_VARIANTS)
def test_each_stage_is_exact_but_for_its_8_bit_activations(name: str, variant: Callable[[str], Path]) -> None:
    """Every stage, fed with the engine's own input to it, equals the reference that rounds activations too.

    A value on the edge between two 8-bit steps may fall on the other side, so the typical row is held to
    float32 accuracy and the worst to a few steps.
    """
    model = variant(name)
    reference = Reference(model, simulate=True)
    tokens = random_tokens(reference)
    found = run_full_head(model, tokens)
    residual = reference.embed(tokens)
    for layer in range(reference.config.layers):
        error = error_of(found.taps[:, layer], reference.layer(layer, residual)).max(axis=-1)
        assert np.median(error) <= 1e-4 and error.max() <= 0.05, f"layer {layer}"
        residual = torch.from_numpy(found.taps[:, layer]).double()
    assert error_of(found.states, reference.state(residual)).max() <= 1e-5
    error = error_of(found.logits, reference.logits(torch.from_numpy(found.states).double())).max(axis=-1)
    assert np.median(error) <= 1e-5 and error.max() <= 0.05


def test_the_tiny_model_follows_its_text(tiny_model: Path) -> None:
    """Sanity of model and reference together: text like the training text is likely."""
    from tokenizers import Tokenizer

    text = 'def wrap(self, text):\n\t"""Return the text wrapped.\n\t"""\n\treturn self._wrap(text)\n\n\tdef'
    tokens = Tokenizer.from_file(str(tiny_model / "tokenizer.json")).encode(text).ids
    logprobs = Reference(tiny_model).run(tokens).logits.log_softmax(-1)
    nats = -logprobs[:-1].gather(1, torch.tensor(tokens[1:])[:, None]).mean().item()
    assert nats < 3.0  # a uniform guess costs log(512) = 6.2
