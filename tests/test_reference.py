"""The float64 reference against `transformers` with the same weights: two implementations, one Llama."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mtp_rt.model_dir import read_model_dir
from reference import Reference, round_to_8_bits
from tiny_model.store import deinterleave
from tiny_model.variants import stored_values


@pytest.mark.parametrize(
    "name", ["f32", "q8", "half_rope", "odd_vocabulary", "untied", "head_dim_64", "ungrouped"]
)
def test_logits_equal_those_of_transformers(name: str, variant: Callable[[str], Path]) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    path = variant(name)
    fields = json.loads((path / "config.json").read_text())
    reference = Reference(path)
    weights = stored_values(read_model_dir(path))
    if reference.config.rope_layout == "interleaved":
        weights = {
            name: deinterleave(values, reference.config.head_dim)
            if ".q_proj" in name or ".k_proj" in name
            else values
            for name, values in weights.items()
        }
    model = (
        LlamaForCausalLM(LlamaConfig(**{k: v for k, v in fields.items() if k != "mtp_rt"})).double().eval()
    )
    missing, unexpected = model.load_state_dict(
        {name: torch.from_numpy(values.copy()) for name, values in weights.items()}, strict=False
    )
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    model.tie_weights()
    tokens = np.random.default_rng(5).integers(0, reference.config.vocab_size, 40).tolist()
    with torch.no_grad():
        expected = model(torch.tensor([tokens]), output_hidden_states=True)
    found = reference.run(tokens)
    # transformers computes rotary angles in float32
    torch.testing.assert_close(found.logits, expected.logits[0], rtol=0, atol=2e-4)
    torch.testing.assert_close(found.states, expected.hidden_states[-1][0], rtol=0, atol=1e-4)
    torch.testing.assert_close(found.taps[0], expected.hidden_states[1][0], rtol=0, atol=1e-4)


def test_8_bit_rounding_by_hand() -> None:
    """amax 127 makes the step 1; halves go to even; a block of zeros stays."""
    x = torch.zeros(1, 64, dtype=torch.float64)
    x[0, :5] = torch.tensor([127.0, 0.5, 1.5, -2.5, 3.2])
    rounded = round_to_8_bits(x)
    assert rounded[0, :5].tolist() == [127.0, 0.0, 2.0, -2.0, 3.0]
    assert not rounded[0, 5:].any()
