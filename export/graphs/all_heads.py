"""all_heads.onnx: trunk and extra heads in one graph, the form for any runtime that opens one file."""

from __future__ import annotations

from onnx import ModelProto

from mtp_rt.export.builder import FLOAT, INT64, Form, Graph
from mtp_rt.export.graphs.heads import CACHES, Heads, best
from mtp_rt.export.graphs.places import Cache, take_rows
from mtp_rt.export.graphs.trunk import trunk
from mtp_rt.export.graphs.unrolled import Following, Rows, drafts_of_blocks, drafts_without_cache, give_out
from mtp_rt.export.portable import PORTABLE
from mtp_rt.model_dir import ModelDir


def all_heads_graph(model: ModelDir, form: Form = PORTABLE) -> ModelProto:
    """Return all_heads.onnx of a model with extra heads."""
    g = Graph("all_heads", model, form)
    run, heads = trunk(g), Heads(g)
    chosen = best(g, run.logits)
    g.output("logits", run.logits, FLOAT, ["batch", "rows", g.config.vocab_size])
    g.output("ids", chosen, INT64, ["batch", "rows"])
    sequential = heads.config.wiring == "sequential"
    if heads.config.body == "block":
        caches = [Cache(g, CACHES, module) for module in range(heads.config.modules)]
        following = Following(g, run.tokens, run.rows, chosen) if sequential else None
        drafts = drafts_of_blocks(heads, Rows(run.state, run.rows, run.places, caches, following))
    else:
        origin = take_rows(g, run.state, run.rows)
        drafts = drafts_without_cache(heads, origin, chosen if sequential else None)
    give_out(heads, *drafts, ("draft_logits", "draft_ids"), "rows")
    return g.build()
