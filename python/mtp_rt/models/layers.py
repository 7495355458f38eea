"""The parts that trunk and heads are made of: norm, SwiGLU, rotary attention, transformer block.

Shape letters: B batch, T positions, D hidden, F inner, H query heads, G key heads, K dimensions of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtp_rt.model_dir import ModelConfig


@dataclass(frozen=True)
class BlockShape:
    """Sizes of a transformer block."""

    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    rope_layout: str  # "interleaved" or "half"

    @classmethod
    def of(cls, config: ModelConfig, intermediate_size: int | None = None) -> BlockShape:
        """Return the shape of the trunk's blocks, or of such blocks with another SwiGLU."""
        return cls(
            config.hidden_size,
            intermediate_size or config.intermediate_size,
            config.heads,
            config.kv_heads,
            config.head_dim,
            config.rms_norm_eps,
            config.rope_theta,
            config.rope_layout,
        )


def at_least_float32(x: Tensor) -> Tensor:
    """Return float64 as it is, anything else as float32."""
    return x if x.dtype == torch.float64 else x.float()


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last dimension, computed in float32 at least."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normed [..., size] values."""
        x = at_least_float32(x)
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class SwiGLU(nn.Module):
    """down(silu(gate x) * up x); `inputs` may be wider than what comes out."""

    def __init__(self, inputs: int, inner: int, outputs: int) -> None:
        super().__init__()
        self.dropout = 0.0  # share of the inner values that training hides
        self.gate_proj = nn.Linear(inputs, inner, bias=False)
        self.up_proj = nn.Linear(inputs, inner, bias=False)
        self.down_proj = nn.Linear(inner, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] from [..., inputs]."""
        return self.combine(self.gate_proj(x), self.up_proj(x))

    def combine(self, gate: Tensor, up: Tensor) -> Tensor:
        """Return the output for products that are already there."""
        return self.down_proj(F.dropout(F.silu(gate) * up, self.dropout, self.training))


def rotate(x_BHTK: Tensor, positions_T: Tensor, theta: float, layout: str) -> Tensor:
    """Return heads rotated to their positions (RoPE; arXiv:2104.09864), pairs as `layout` says.

    Args:
        x_BHTK: queries or keys [..., T, K].
        positions_T: integer positions [T], or any shape that broadcasts against [..., T].
        theta: base of the frequencies.
        layout: "interleaved" (dimensions 2i, 2i+1) or "half" (i, i + K/2).
    """
    half = x_BHTK.shape[-1] // 2
    wide = torch.float64 if x_BHTK.dtype == torch.float64 else torch.float32
    exponents = torch.arange(half, dtype=torch.float64, device=x_BHTK.device) / half
    angles = positions_T[..., None].double() * theta**-exponents
    cos, sin = angles.cos().to(wide), angles.sin().to(wide)
    x = x_BHTK.to(wide)
    if layout == "interleaved":  # a pair is a complex number, and turning it one product
        pairs = torch.view_as_complex(x.unflatten(-1, (half, 2)))
        return torch.view_as_real(pairs * torch.complex(cos, sin)).flatten(-2).to(x_BHTK.dtype)
    turned: Tensor = _Turn.apply(x, cos, sin)
    return turned.to(x_BHTK.dtype)


class _Turn(torch.autograd.Function):
    """Pairs (i, i + K/2) turned by angles; what comes back is turned the other way, and nothing is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return x [..., K] turned by the angles of `cos` and `sin`, which broadcast against [..., K/2]."""
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, arriving: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of x."""
        cos, sin = ctx.saved_tensors
        return _turn(arriving, cos, -sin), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    turned, half = torch.empty_like(x), x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    torch.mul(first, cos, out=turned[..., :half]).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=turned[..., half:]).addcmul_(first, sin)
    return turned


class Attention(nn.Module):
    """Grouped-query attention with rotary positions, the parts apart so that heads can rearrange them."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape = shape
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(queries, shape.hidden_size, bias=False)

    def queries(self, x_BTD: Tensor, positions_T: Tensor) -> Tensor:
        """Return rotated queries [B, H, T, K]."""
        return self._rotate(self._split(self.q_proj(x_BTD)), positions_T)

    def keys(self, x_BTD: Tensor, positions_T: Tensor) -> Tensor:
        """Return rotated keys, repeated for their queries: [B, H, T, K]."""
        return self._repeat(self._rotate(self._split(self.k_proj(x_BTD)), positions_T))

    def values(self, x_BTD: Tensor) -> Tensor:
        """Return values, repeated for their queries: [B, H, T, K]."""
        return self._repeat(self._split(self.v_proj(x_BTD)))

    def merge(self, mixed_BHTK: Tensor) -> Tensor:
        """Return the output [B, T, D] of mixed values."""
        return self.o_proj(mixed_BHTK.transpose(1, 2).flatten(2))

    def forward(self, x_BTD: Tensor, positions_T: Tensor, mask_TT: Tensor | None = None) -> Tensor:
        """Return causal attention [B, T, D], or attention where the boolean `mask_TT` is true."""
        q, k, v = self.queries(x_BTD, positions_T), self.keys(x_BTD, positions_T), self.values(x_BTD)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask_TT, is_causal=mask_TT is None)
        return self.merge(mixed)

    def _split(self, x_BTC: Tensor) -> Tensor:
        return x_BTC.unflatten(-1, (-1, self.shape.head_dim)).transpose(1, 2)

    def _repeat(self, x_BGTK: Tensor) -> Tensor:
        times = self.shape.heads // self.shape.kv_heads
        return x_BGTK if times == 1 else x_BGTK.repeat_interleave(times, dim=1)  # once would copy

    def _rotate(self, x: Tensor, positions_T: Tensor) -> Tensor:
        return rotate(x, positions_T, self.shape.rope_theta, self.shape.rope_layout)


class Block(nn.Module):
    """A pre-norm transformer block: attention, then SwiGLU, each added to the residual stream."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.mlp = SwiGLU(shape.hidden_size, shape.intermediate_size, shape.hidden_size)

    def forward(self, x_BTD: Tensor, positions_T: Tensor) -> Tensor:
        """Return the residual stream [B, T, D] after this block."""
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), positions_T)
        return x_BTD + self.mlp(self.post_attention_layernorm(x_BTD))
