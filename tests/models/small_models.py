"""Models of a few thousand parameters, and batches for them."""

from __future__ import annotations

from dataclasses import replace

import torch

from mtp_rt.model_dir import ModelConfig, Unembedding
from mtp_rt.models.head_by_head import TokenBatch
from mtp_rt.models.heads import heads_config
from mtp_rt.models.multi_token import MultiTokenModel

TRUNK = ModelConfig(
    format_version=1,
    architecture="LlamaForCausalLM",
    hidden_size=32,
    intermediate_size=64,
    layers=3,
    heads=2,
    kv_heads=1,
    head_dim=32,
    vocab_size=50,
    context=64,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
    rope_layout="half",
    tied_embedding=False,
    bos=None,
    eos=(),
    two_stage_margin=None,
    extra_heads=None,
)


def make_model(
    preset: str,
    n: int,
    trunk: ModelConfig = TRUNK,
    window: int | None = None,
    own_unembedding: bool = False,
) -> MultiTokenModel:
    """Return a model whose heads do something: none of their weights is zero."""
    name = "causal" if preset == "anticausal" else preset
    unembedding: Unembedding = "own" if own_unembedding else "shared"
    heads = (
        heads_config(name, trunk, n - 1, window=window, unembedding=unembedding, most=31) if n > 1 else None
    )
    torch.manual_seed(5)
    config = replace(trunk, extra_heads=heads)
    model = MultiTokenModel(config, anticausal=preset == "anticausal")
    for parameter in [] if model.heads is None else model.heads.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.ndim == 1 else 0.0, std=0.15)
    return model


def make_batch(n: int, texts: int = 2, length: int = 11, vocab: int = 50) -> TokenBatch:
    """Return random tokens; the first text has a document border, the last n positions lose labels."""
    generator = torch.Generator().manual_seed(3)
    stream = torch.randint(0, vocab, (texts, length + n), generator=generator)
    ahead = torch.stack([stream[:, i + 1 : i + 1 + length] for i in range(n)], dim=2)
    target = torch.arange(length)[:, None] + torch.arange(1, n + 1)
    ends = torch.full((texts, length, 1), length)
    ends[0, :5] = 5
    return TokenBatch(stream[:, :length], ahead, target[None] < ends)
