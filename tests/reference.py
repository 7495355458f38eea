"""An independent Llama in PyTorch float64, read from a model directory: what engines are compared with.

Shape letters: T rows, D hidden size, H query heads, G key-value heads, K head_dim, V vocabulary, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import hadamard
from torch import Tensor
from torch.nn.functional import silu

from mtp_rt.model_dir import ModelDir, layout_of, output_matrix, read_model_dir

BLOCK = 32


@dataclass(frozen=True)
class Outputs:
    """Of every row, float64: logits [T, V], states after the final norm [T, D], residual taps [L, T, D]."""

    logits: Tensor
    states: Tensor
    taps: Tensor


class Reference:
    """A model directory as a float64 forward pass.

    With `simulate` it also makes the roundings that the native engine makes on purpose where the layers are
    quantised: inputs of q4 and q8 matrices, values, mixed queries and mixed keys to 8 bits per block of 32.
    What then remains between engine and reference is the order of float32 sums, and attention weights of 15
    bits.
    """

    def __init__(self, path: Path, *, simulate: bool = False) -> None:
        model = read_model_dir(path)
        self.config = model.config
        self.simulate = simulate
        layout = layout_of(model.config)
        self.kinds = model.kinds
        self.weights = {name: _matrix(model, name) for name in layout.matrices} | {
            name: _array(model, name, np.float32).double() for name in layout.vectors
        }
        self.output = output_matrix(model.config)

    @torch.no_grad()
    def run(self, tokens: Sequence[int]) -> Outputs:
        """Return the outputs of every row of one sequence that starts at position 0."""
        taps = [self.embed(tokens)]
        for layer in range(self.config.layers):
            taps.append(self.layer(layer, taps[-1]))
        state_TD = self.state(taps[-1])
        return Outputs(self.logits(state_TD), state_TD, torch.stack(taps[1:]))

    def embed(self, tokens: Sequence[int]) -> Tensor:
        """Return the residual stream [T, D] before the first layer."""
        return self.weights["model.embed_tokens.weight"][torch.tensor(list(tokens))]

    def layer(self, index: int, x_TD: Tensor) -> Tensor:
        """Return the residual stream after layer `index`, from the one before it."""
        name = f"model.layers.{index}"
        x_TD = x_TD + self._attention(f"{name}.self_attn", self._norm(f"{name}.input_layernorm", x_TD))
        return x_TD + self._mlp(f"{name}.mlp", self._norm(f"{name}.post_attention_layernorm", x_TD))

    def state(self, x_TD: Tensor) -> Tensor:
        """Return the trunk state after the final norm."""
        return self._norm("model.norm", x_TD)

    def logits(self, state_TD: Tensor) -> Tensor:
        """Return the logits [T, V] of trunk states."""
        return self._product(self.output, state_TD)

    def _norm(self, name: str, x_TD: Tensor) -> Tensor:
        scale_T1 = torch.rsqrt(x_TD.square().mean(dim=-1, keepdim=True) + self.config.rms_norm_eps)
        return x_TD * scale_T1 * self.weights[f"{name}.weight"]

    def _product(self, name: str, x_TD: Tensor) -> Tensor:
        if self.simulate and self.kinds[name] in {"q4", "q8"}:
            x_TD = round_to_8_bits(x_TD)
        return x_TD @ self.weights[name].T

    def _mlp(self, name: str, x_TD: Tensor) -> Tensor:
        gate, up = (self._product(f"{name}.{part}_proj.weight", x_TD) for part in ("gate", "up"))
        return self._product(f"{name}.down_proj.weight", silu(gate) * up)

    def _attention(self, name: str, x_TD: Tensor) -> Tensor:
        rows, size = len(x_TD), self.config.head_dim
        q_HTK, k_GTK, v_GTK = (
            self._product(f"{name}.{part}_proj.weight", x_TD).view(rows, -1, size).transpose(0, 1)
            for part in ("q", "k", "v")
        )
        q_HTK, k_GTK = self._rotate(q_HTK), self._rotate(k_GTK)
        if self.simulate and self.kinds[f"{name}.k_proj.weight"] in {"q4", "q8"}:
            q_HTK, k_GTK = (mix(round_to_8_bits(mix(x))) for x in (q_HTK, k_GTK))
            v_GTK = round_to_8_bits(v_GTK)
        group = self.config.heads // self.config.kv_heads
        k_HTK, v_HTK = k_GTK.repeat_interleave(group, dim=0), v_GTK.repeat_interleave(group, dim=0)
        scores_HTT = q_HTK @ k_HTK.transpose(1, 2) / size**0.5
        future_TT = torch.ones(rows, rows, dtype=torch.bool).triu(diagonal=1)
        mixed_HTK = scores_HTT.masked_fill(future_TT, -torch.inf).softmax(dim=-1) @ v_HTK
        return self._product(f"{name}.o_proj.weight", mixed_HTK.transpose(0, 1).reshape(rows, -1))

    def _rotate(self, x_HTK: Tensor) -> Tensor:
        half = self.config.head_dim // 2
        frequencies = self.config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.arange(x_HTK.shape[1], dtype=torch.float64)[:, None] * frequencies
        cos, sin = angles.cos(), angles.sin()
        if self.config.rope_layout == "interleaved":
            first, second = x_HTK[..., 0::2], x_HTK[..., 1::2]
            return torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-1).flatten(-2)
        first, second = x_HTK[..., :half], x_HTK[..., half:]
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def round_to_8_bits(x: Tensor) -> Tensor:
    """Return `x` rounded to multiples of amax / 127, half to even, per block of 32 of the last dimension."""
    blocks = x.unflatten(-1, (-1, BLOCK))
    scale = blocks.abs().amax(dim=-1, keepdim=True) / 127
    return ((blocks / scale.where(scale > 0, 1)).round() * scale).flatten(-2)


def mix(x: Tensor) -> Tensor:
    """Return the orthonormal Hadamard transform of each 32 of the last dimension: its own inverse."""
    return (x.unflatten(-1, (-1, BLOCK)) @ torch.from_numpy(hadamard(BLOCK) / BLOCK**0.5)).flatten(-2)


def _array(model: ModelDir, name: str, dtype: type[np.generic]) -> Tensor:
    shape = model.tensors[name].shape
    return torch.from_numpy(np.frombuffer(model.tensor(name), dtype).reshape(shape).copy())


def _matrix(model: ModelDir, name: str) -> Tensor:
    """Return the float64 values of a stored matrix, as docs/model_dir.md defines them."""
    kind = model.kinds[name]
    if kind == "f32":
        return _array(model, name, np.float32).double()
    if kind == "bf16":
        return _array(model, name, np.int16).view(torch.bfloat16).double()
    scale = _array(model, f"{name}.scale", np.float16).double()[:, :, None]
    if kind == "q8":
        codes = _array(model, f"{name}.q8", np.int8).double()
        return (codes.view(len(codes), -1, BLOCK) * scale).flatten(1)
    packed = _array(model, f"{name}.q4", np.uint8)
    codes = torch.stack((packed & 15, packed >> 4), dim=-1).double()
    minimum = _array(model, f"{name}.min", np.float16).double()[:, :, None]
    return (codes.view(len(codes), -1, BLOCK) * scale + minimum).flatten(1)
