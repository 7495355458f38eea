"""What opset 24 has an operator for, and the same spelled out in a graph of an older opset.

Shape letters: B sequences, H heads, G heads of keys and values, W rows, C places, S values of a head.
"""

from __future__ import annotations

import math

import numpy as np

from mtp_rt.export.builder import OPSET, Graph

_HIDDEN = -1e30  # score of what a row does not see


def rms_norm(g: Graph, x: str, gain: str) -> str:
    """Return x [..., D] over its root mean square, times the gain [D]."""
    epsilon = g.config.rms_norm_eps
    if g.opset >= OPSET:
        return g.op("RMSNormalization", x, gain, axis=-1, epsilon=epsilon)
    mean = g.op("ReduceMean", g.op("Mul", x, x), g.constant([-1]), keepdims=1)
    root = g.op("Sqrt", g.op("Add", mean, g.constant(epsilon, np.float32)))
    return g.op("Mul", g.op("Div", x, root), gain)


def rotate(g: Graph, x: str, cos: str, sin: str) -> str:
    """Return x [B, H, W, S] with its pairs turned by the angles of cos and sin [B, W, S / 2]."""
    interleaved = g.config.rope_layout == "interleaved"
    if g.opset >= OPSET:
        return g.op("RotaryEmbedding", x, cos, sin, interleaved=int(interleaved))
    half = g.config.head_dim // 2
    if interleaved:  # a pair in the last axis
        x = g.reshape(x, [0, 0, 0, half, 2])
        cos, sin = (g.unsqueeze(angles, 1, 4) for angles in (cos, sin))
    else:
        cos, sin = (g.unsqueeze(angles, 1) for angles in (cos, sin))
    sizes = g.constant([1, 1] if interleaved else [half, half])
    a, b = g.op_with("Split", 2, x, sizes, axis=-1)
    turned = (
        g.op("Sub", g.op("Mul", a, cos), g.op("Mul", b, sin)),
        g.op("Add", g.op("Mul", b, cos), g.op("Mul", a, sin)),
    )
    joined = g.op("Concat", *turned, axis=-1)
    return g.reshape(joined, [0, 0, 0, g.config.head_dim]) if interleaved else joined


def attend(g: Graph, queries: str, keys: str, values: str, mask: str) -> str:
    """Return what queries [B, H, W, S] see of keys and values [B, G, C, S]: [B, H, W, S].

    Args:
        mask: which places each row sees, [B, 1, W, C].
    """
    if g.opset >= OPSET:
        return g.op("Attention", queries, keys, values, mask)
    heads, groups, size = g.config.heads, g.config.kv_heads, g.config.head_dim
    scaled = g.op("Mul", queries, g.constant(1.0 / math.sqrt(size), np.float32))
    by_group = g.reshape(scaled, [0, groups, heads // groups, -1, size])
    turned = g.op("Transpose", g.unsqueeze(keys, 2), perm=[0, 1, 2, 4, 3])
    scores = g.op("MatMul", by_group, turned)
    seen = g.op("Where", g.unsqueeze(mask, 1), scores, g.constant(_HIDDEN, np.float32))
    mixed = g.op("MatMul", g.op("Softmax", seen, axis=-1), g.unsqueeze(values, 2))
    return g.reshape(mixed, [0, heads, -1, size])


def write_rows(g: Graph, cache: str, rows: str, lengths: str) -> str:
    """Return the cache [B, G, C, S] with rows [B, G, W, S] from place `lengths` [B] of each sequence on."""
    if g.opset >= OPSET:
        return g.op("TensorScatter", cache, rows, lengths, axis=2)
    key = ("written", lengths)
    if key not in g.memo:
        places = g.op("Add", g.unsqueeze(lengths, 1), g.unsqueeze(g.count(g.size(rows, 2)), 0))
        g.memo[key] = g.op("Expand", g.unsqueeze(places, 1, 3), g.op("Shape", rows))
    return g.op("ScatterElements", cache, g.memo[key], rows, axis=2)
