"""Products with stored matrices and rows of them, for each kind of docs/model_dir.md.

Every operand points into model.safetensors. What a product needs in another form (float32 scales, minima
folded with scales, bytes with their sign bit turned) is computed in the graph from those operands alone, so a
runtime folds it once when it opens the graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtp_rt.export.builder import FLOAT, MICROSOFT, Graph
from mtp_rt.export.operators import rms_norm
from mtp_rt.export.requantize import is_symmetric
from mtp_rt.model_dir import output_matrix

BLOCK = 32
_SIGN = 128  # turns signed bytes into what MatMulNBits calls unsigned bytes with zero point 128
_NIBBLE_ZERO = 8.0  # the zero point that MatMulNBits assumes for 4 bits
_INT8_ACTIVATIONS = 4  # accuracy level: inputs rounded to 8 bits in blocks of 32, the fast form on CPUs


def product(g: Graph, name: str, x: str) -> str:
    """Return x [B, W, cols] times the transpose of matrix `name` [rows, cols]: [B, W, rows]."""
    return products(g, [name], x)[0]


def products(g: Graph, names: Sequence[str], x: str) -> list[str]:
    """Return the products of matrices that read the same x."""
    return g.form.products(g, names, x)


def portable_products(g: Graph, names: Sequence[str], x: str) -> list[str]:
    """Return the products as the portable form has them: one node for all, where their kind allows."""
    together = joined_product(g, names, x)
    if together is None:
        return [_product(g, name, x) for name in names]
    if len(names) == 1:
        return [together]
    sizes = [g.model.tensors[f"{name}.scale"].shape[0] for name in names]
    return g.op_with("Split", len(names), together, g.constant(sizes), axis=-1)


def joined_product(g: Graph, names: Sequence[str], x: str) -> str | None:
    """Return the products side by side, [B, W, all rows]; None where one node cannot give them."""
    kinds = {g.model.kinds[name] for name in names}
    if kinds == {"q4"}:
        nibbles = _by_bits(g, names, x, [_blocks(g, f"{name}.q4") for name in names], 4)
        if all(is_symmetric(g.model, name) for name in names):
            return nibbles
        offsets = _concat(g, [_offsets(g, name) for name in names], 1)
        return g.op("Add", nibbles, g.op("MatMul", block_sums(g, x, names[0]), offsets))
    if kinds == {"q8"}:
        return _by_bits(g, names, x, [_unsigned(g, name) for name in names], 8)
    return None


def embedding_rows(g: Graph, tokens: str) -> str:
    """Return the embeddings [..., D] of tokens [...] of two dimensions."""
    return g.form.embedding_rows(g, tokens)


def portable_embedding_rows(g: Graph, tokens: str) -> str:
    """Return the embeddings as the portable form has them."""
    name = "model.embed_tokens.weight"
    kind = g.model.kinds[name]
    if kind in {"f32", "bf16"}:
        rows = g.op("Gather", g.weight(name), tokens)
        return rows if kind == "f32" else g.cast(rows, FLOAT)
    codes = _q8_codes(g, name, tokens) if kind == "q8" else _q4_codes(g, name, tokens)
    blocks = g.reshape(codes, [0, 0, -1, BLOCK])
    values = g.op("Mul", blocks, _block_values(g, f"{name}.scale", tokens))
    if kind == "q4":
        values = g.op("Add", values, _block_values(g, f"{name}.min", tokens))
    return g.reshape(values, [0, 0, g.config.hidden_size])


def vocabulary(g: Graph, state: str) -> str:
    """Return the trunk's scores [..., vocab_size] of states [..., D]."""
    return product(g, output_matrix(g.config), state)


def norm(g: Graph, name: str, x: str) -> str:
    """Return RMSNorm of x [..., D] with the gain vector `name`."""
    return rms_norm(g, x, g.weight(name))


def _block_shape(g: Graph, part: str) -> tuple[int, int, int]:
    rows, bytes_per_row = g.model.tensors[part].shape
    blocks = bytes_per_row // (BLOCK if part.endswith(".q8") else BLOCK // 2)
    return rows, blocks, bytes_per_row // blocks


def _blocks(g: Graph, part: str) -> str:
    return g.weight(part, dtype="U8", shape=_block_shape(g, part))


def _unsigned(g: Graph, name: str) -> str:
    signed = g.weight(f"{name}.q8", dtype="U8", shape=_block_shape(g, f"{name}.q8"))
    return g.op("BitwiseXor", signed, g.constant(_SIGN, np.uint8))


def _product(g: Graph, name: str, x: str) -> str:
    together = joined_product(g, [name], x)
    if together is not None:
        return together
    return g.op("MatMul", x, g.op("Transpose", _floats(g, name), perm=[1, 0]))


def _concat(g: Graph, parts: Sequence[str], axis: int) -> str:
    return parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=axis)


def _by_bits(g: Graph, names: Sequence[str], x: str, codes: Sequence[str], bits: int) -> str:
    scales = [g.cast(g.weight(f"{name}.scale"), FLOAT) for name in names]
    return g.op(
        "MatMulNBits",
        x,
        _concat(g, codes, 0),
        _concat(g, scales, 0),
        domain=MICROSOFT,
        bits=bits,
        block_size=BLOCK,
        K=_columns(g, names[0]),
        N=sum(g.model.tensors[f"{name}.scale"].shape[0] for name in names),
        accuracy_level=_INT8_ACTIVATIONS,
    )


def block_sums(g: Graph, x: str, name: str) -> str:
    """Return the sums [B, W, cols / 32] of x's blocks, which matrix `name` and others that read x share."""
    key = ("block sums", x)
    if key in g.memo:
        return g.memo[key]
    blocks = g.reshape(x, [0, 0, _columns(g, name) // BLOCK, BLOCK])
    return g.shared(key, g.op("ReduceSum", blocks, g.constant([-1]), keepdims=0))


def _columns(g: Graph, name: str) -> int:
    return g.model.tensors[f"{name}.scale"].shape[1] * BLOCK


def _offsets(g: Graph, name: str) -> str:
    """Return min + 8 scale as [blocks, rows]: w = scale (q - 8) + (min + 8 scale)."""
    scale = g.cast(g.weight(f"{name}.scale"), FLOAT)
    minimum = g.cast(g.weight(f"{name}.min"), FLOAT)
    offset = g.op("Add", minimum, g.op("Mul", scale, g.constant(_NIBBLE_ZERO, np.float32)))
    return g.op("Transpose", offset, perm=[1, 0])


def _floats(g: Graph, name: str) -> str:
    weight = g.weight(name)
    return weight if g.model.kinds[name] == "f32" else g.cast(weight, FLOAT)


def _q8_codes(g: Graph, name: str, tokens: str) -> str:
    return g.cast(g.op("Gather", g.weight(f"{name}.q8"), tokens), FLOAT)


def _q4_codes(g: Graph, name: str, tokens: str) -> str:
    """Return the codes 0..15 as floats, in order: the low nibble of each byte, then the high one."""
    packed = g.op("Gather", g.weight(f"{name}.q4"), tokens)
    low = g.op("BitwiseAnd", packed, g.constant(15, np.uint8))
    high = g.op("BitShift", packed, g.constant(4, np.uint8), direction="RIGHT")
    return g.cast(g.op("Concat", g.unsqueeze(low, -1), g.unsqueeze(high, -1), axis=-1), FLOAT)


def _block_values(g: Graph, part: str, tokens: str) -> str:
    return g.unsqueeze(g.cast(g.op("Gather", g.weight(part), tokens), FLOAT), -1)
