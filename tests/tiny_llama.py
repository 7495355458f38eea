"""A random tiny Llama of transformers, for what is held against it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def tiny_llama(**changes: Any) -> LlamaForCausalLM:
    """Return a float32 model with seeded weights; keywords replace fields of its config."""
    torch.manual_seed(0)
    config = LlamaConfig(
        **{
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": 320,
            "max_position_embeddings": 128,
            "rope_theta": 500.0,
            "rms_norm_eps": 1e-5,
            **changes,
        }
    )
    return LlamaForCausalLM(config)
