"""The trunk, and verify.onnx: rows in, the first head's logits and the state that heads start from out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from onnx import ModelProto

from mtp_rt.export.builder import FLOAT, INT64, Form, Graph
from mtp_rt.export.graphs.places import Cache, CachedRows, Places, rotation, take_rows, tree_places
from mtp_rt.export.operators import attend, rotate
from mtp_rt.export.portable import PORTABLE
from mtp_rt.export.weights import embedding_rows, joined_product, norm, product, products, vocabulary
from mtp_rt.model_dir import ModelDir


class Attended(Protocol):
    """What a block attends to."""

    positions: str  # of its rows, [B, rows]

    def context(self, keys: str, values: str) -> tuple[str, str, str]:
        """Return keys, values [B, G, all, S] and mask [B, 1, rows, all], given the rows' own ones."""
        ...


@dataclass(frozen=True)
class Trunk:
    """The trunk's values in a graph.

    Attributes:
        tokens: input, [B, W].
        rows: input: the rows that are wanted, [B, R].
        places: where all rows stand.
        capacity: places of the caches, [1].
        state: what extra heads start from, [B, W, D]: the final norm's output, or the fused taps.
        logits: of the wanted rows, [B, R, vocab_size].
    """

    tokens: str
    rows: str
    places: Places
    capacity: str
    state: str
    logits: str


def trunk(g: Graph) -> Trunk:
    """Add the trunk to an empty graph: its inputs, layers and caches."""
    tokens = g.input("tokens", INT64, ["batch", "width"])
    rows = g.input("rows", INT64, ["batch", "rows"])
    caches = [Cache(g, "", index) for index in range(g.config.layers)]
    capacity = g.size(caches[0].keys, 2)
    places = tree_places(g, capacity)
    mask = places.mask(g)
    x, outputs = embedding_rows(g, tokens), []
    for index, cache in enumerate(caches):
        x = block(g, f"model.layers.{index}", x, CachedRows(cache, places, mask))
        outputs.append(x)
    final = norm(g, "model.norm.weight", x)
    heads = g.config.extra_heads
    state = final
    if heads is not None and heads.taps:
        tapped = [outputs[layer] for layer in heads.taps]
        state = product(g, "heads.fuse.weight", g.op("Concat", *tapped, axis=-1))
    return Trunk(tokens, rows, places, capacity, state, vocabulary(g, take_rows(g, final, rows)))


def verify_graph(model: ModelDir, form: Form = PORTABLE) -> ModelProto:
    """Return verify.onnx of a model."""
    g = Graph("verify", model, form)
    run = trunk(g)
    g.output("logits", run.logits, FLOAT, ["batch", "rows", g.config.vocab_size])
    g.output("state", run.state, FLOAT, ["batch", "width", g.config.hidden_size])
    return g.build()


def block(g: Graph, prefix: str, x: str, attended: Attended) -> str:
    """Return a transformer block's output for x [B, rows, D]."""
    y = norm(g, f"{prefix}.input_layernorm.weight", x)
    x = g.op("Add", x, _attention(g, f"{prefix}.self_attn", y, attended))
    y = norm(g, f"{prefix}.post_attention_layernorm.weight", x)
    return g.op("Add", x, mlp(g, f"{prefix}.mlp", y))


def mlp(g: Graph, prefix: str, x: str) -> str:
    """Return down . (silu(gate . x) * (up . x))."""
    gate, up = products(g, [f"{prefix}.gate_proj.weight", f"{prefix}.up_proj.weight"], x)
    silu = g.op("Mul", gate, g.op("Sigmoid", gate))
    return product(g, f"{prefix}.down_proj.weight", g.op("Mul", silu, up))


def _attention(g: Graph, prefix: str, y: str, attended: Attended) -> str:
    names = [f"{prefix}.{kind}_proj.weight" for kind in ("q", "k", "v")]
    if g.form.grouped_attention and isinstance(attended, CachedRows):
        together = joined_product(g, names, y)
        mixed = attended.grouped(products(g, names, y) if together is None else [together])
    else:
        q, k, v = products(g, names, y)
        mixed = _attention_by_heads(g, q, k, v, attended)
    return product(g, f"{prefix}.o_proj.weight", mixed)


def _attention_by_heads(g: Graph, q: str, k: str, v: str, attended: Attended) -> str:
    """Return what rows with these queries, keys and values see, [B, rows, heads x S]."""
    q, k, v = (
        _by_heads(g, x, heads)
        for x, heads in ((q, g.config.heads), (k, g.config.kv_heads), (v, g.config.kv_heads))
    )
    cos, sin = rotation(g, attended.positions)
    q, k = rotate(g, q, cos, sin), rotate(g, k, cos, sin)
    if g.cache_dtype != FLOAT:
        q, k, v = (g.cast(x, g.cache_dtype) for x in (q, k, v))
    mixed = attend(g, q, *attended.context(k, v))
    if g.cache_dtype != FLOAT:
        mixed = g.cast(mixed, FLOAT)
    return g.reshape(g.op("Transpose", mixed, perm=[0, 2, 1, 3]), [0, 0, g.config.heads * g.config.head_dim])


def _by_heads(g: Graph, x: str, heads: int) -> str:
    """[B, rows, heads x S] -> [B, heads, rows, S]."""
    return g.op("Transpose", g.reshape(x, [0, 0, heads, g.config.head_dim]), perm=[0, 2, 1, 3])
