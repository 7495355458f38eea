"""One module of extra heads: what it reads from state and token, and what it makes of that.

A module starts with a matrix over its inputs. Reading state and token at once, [norm(state); norm(token)],
that matrix is a sum of two products, and the token's half is the same wherever the token stands: it is
computed once for each distinct token of a batch (`reader`) and looked up afterwards.

Shape letters: N rows, D hidden, P outputs of the first matrix, U distinct tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtp_rt.model_dir import HeadsConfig
from mtp_rt.models.layers import Attention, BlockShape, RMSNorm, SwiGLU, at_least_float32


class Reader(NamedTuple):
    """The matrix [P, D] that reads states (None: they are read as they are) and the tokens' terms."""

    matrix: Tensor | None
    terms_UP: Tensor | None


class HeadModule(nn.Module):
    """One module; its parameters have the names of docs/model_dir.md behind `heads.{m}.`.

    Args:
        config: wiring, body and sizes.
        shape: the trunk's block, with the inner size of the heads.
        vocab_size: rows of an output matrix of its own, where it has such a one over all tokens.
    """

    def __init__(self, config: HeadsConfig, shape: BlockShape, vocab_size: int = 0) -> None:
        super().__init__()
        size, inner = shape.hidden_size, config.intermediate_size or 0
        self.body, self.sequential = config.body, config.wiring == "sequential"
        inputs = 2 * size if self.sequential else size
        if self.sequential:
            self.state_norm = RMSNorm(size, shape.rms_norm_eps)
            self.embed_norm = RMSNorm(size, shape.rms_norm_eps)
        if config.body == "linear":
            self.linear = nn.Linear(inputs, size, bias=False)
        elif config.body == "residual":
            self.mlp = SwiGLU(inputs, inner, size)
        else:
            if self.sequential:
                self.input_proj = nn.Linear(2 * size, size, bias=False)
            self.input_layernorm = RMSNorm(size, shape.rms_norm_eps)
            self.self_attn = Attention(shape)
            self.post_attention_layernorm = RMSNorm(size, shape.rms_norm_eps)
            self.mlp = SwiGLU(size, inner, size)
        if config.output_norm:
            self.norm = RMSNorm(size, shape.rms_norm_eps)
        if config.unembedding == "own":
            self.unembed = nn.Linear(size, config.draft_vocab_size or vocab_size, bias=False)
        self._start_as_identity()

    @torch.no_grad()
    def _start_as_identity(self) -> None:
        """Let the module pass the state through at first, so that head k starts where head k - 1 stands."""
        if self.body != "linear":
            nn.init.zeros_(self.mlp.down_proj.weight)
        if self.body == "block":
            nn.init.zeros_(self.self_attn.o_proj.weight)
        first = self.linear if self.body == "linear" else getattr(self, "input_proj", None)
        if first is not None:
            nn.init.normal_(first.weight, std=0.01)
            first.weight[:, : first.out_features] += torch.eye(first.out_features)

    def reader(self, embedded_UD: Tensor) -> Reader:
        """Return what is worked out once and then read states with, for these distinct tokens."""
        matrix = self._first_matrix()
        if not self.sequential or matrix is None:
            return Reader(matrix, None)
        size = embedded_UD.shape[-1]
        terms_UP = F.linear(self.embed_norm(embedded_UD), matrix[:, size:])
        return Reader(matrix[:, :size], terms_UP)

    def first_product(self, reader: Reader, state: Tensor, index: Tensor) -> Tensor:
        """Return the first product [..., P] for states [..., D] and the indices [...] of their tokens."""
        if reader.matrix is None:
            return state
        if reader.terms_UP is None:
            return F.linear(state, reader.matrix)
        return F.linear(self.state_norm(state), reader.matrix) + look_up(reader.terms_UP, index)

    def _first_matrix(self) -> Tensor | None:
        if self.body == "linear":
            return self.linear.weight
        if self.body == "residual":
            matrix = torch.cat((self.mlp.gate_proj.weight, self.mlp.up_proj.weight))
        elif self.sequential:
            matrix = self.input_proj.weight
        else:
            return None
        narrow = torch.get_autocast_dtype(matrix.device.type)
        return matrix.to(narrow) if torch.is_autocast_enabled(matrix.device.type) else matrix

    def finish(self, product: Tensor, residual: Tensor) -> Tensor:
        """Return the head's state [..., D] of linear and residual bodies from the first product."""
        if self.body == "residual":
            gate, up = product.chunk(2, dim=-1)
            product = residual + self.mlp.combine(gate, up)
        return self.normed(product)

    def normed(self, state: Tensor) -> Tensor:
        """Return the state as it leaves the head."""
        normed: Any = self.norm(state) if hasattr(self, "norm") else state
        return normed


class _LookUp(torch.autograd.Function):
    """Rows of a table; the gradient is summed in float32 at least, whatever the table's dtype is."""

    @staticmethod
    def forward(ctx: Any, table_UP: Tensor, index_N: Tensor) -> Tensor:
        ctx.save_for_backward(index_N)
        ctx.table = table_UP.shape, table_UP.dtype
        return table_UP[index_N]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index_N,) = ctx.saved_tensors
        shape, dtype = ctx.table
        rows = at_least_float32(gradients[0])
        total = torch.zeros(shape, dtype=rows.dtype, device=index_N.device)
        total.index_add_(0, index_N, rows)
        return total.to(dtype), None


def look_up(table_UP: Tensor, index: Tensor) -> Tensor:
    """Return table rows [..., P] by index [...]."""
    rows: Tensor = _LookUp.apply(table_UP, index.reshape(-1))
    return rows.view(*index.shape, -1)
