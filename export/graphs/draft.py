"""draft.onnx: the extra heads by themselves.

Sequential heads: one depth per run, the caller chooses the token. A shared module is draft.onnx at every
depth; separate modules are draft.onnx, draft_2.onnx, draft_3.onnx, ... Other heads read no tokens: draft.onnx
gives all depths at once.
"""

from __future__ import annotations

from onnx import ModelProto

from mtp_rt.export.builder import FLOAT, INT64, Form, Graph
from mtp_rt.export.graphs.heads import CACHES, Heads
from mtp_rt.export.graphs.places import Cache, CachedRows, chain_places, take_rows
from mtp_rt.export.graphs.unrolled import Rows, drafts_of_blocks, drafts_without_cache, give_out
from mtp_rt.export.portable import PORTABLE
from mtp_rt.model_dir import ModelDir


def draft_graphs(model: ModelDir, form: Form = PORTABLE) -> dict[str, ModelProto]:
    """Return the draft graphs of a model with extra heads, by file name."""
    return {draft_file(index): draft_graph(model, index, form) for index in range(draft_graph_count(model))}


def draft_graph_count(model: ModelDir) -> int:
    """Return how many draft graphs a model with extra heads has."""
    heads = model.config.extra_heads
    assert heads is not None
    return heads.modules if heads.wiring == "sequential" else 1


def draft_graph(model: ModelDir, index: int, form: Form = PORTABLE) -> ModelProto:
    """Return one of the draft graphs of a model with extra heads."""
    heads = model.config.extra_heads
    assert heads is not None
    return _one_depth(model, form, index) if heads.wiring == "sequential" else _all_depths(model, form)


def draft_file(module: int) -> str:
    """Return the name of the graph that runs a module of sequential heads."""
    return "draft.onnx" if module == 0 else f"draft_{module + 1}.onnx"


def _one_depth(model: ModelDir, form: Form, module: int) -> ModelProto:
    g = Graph("draft", model, form)
    heads = Heads(g)
    state = g.input("state", FLOAT, ["batch", "width", g.config.hidden_size])
    tokens = g.input("tokens", INT64, ["batch", "width"])
    attended, rows = None, "width"
    if heads.config.body == "block":
        rows = "rows"
        wanted = g.input("rows", INT64, ["batch", "rows"])
        cache = Cache(g, CACHES, module)
        places = chain_places(g, g.size(state, 1), g.size(cache.keys, 2))
        attended = CachedRows(cache, places, places.mask(g, heads.config.window))
    result = heads.apply(module, state, state, tokens, attended)
    logits, ids = heads.score(module, result if attended is None else take_rows(g, result, wanted))
    g.output("logits", logits, FLOAT, ["batch", rows, heads.scores])
    g.output("ids", ids, INT64, ["batch", rows])
    g.output("next_state", result, FLOAT, ["batch", "width", g.config.hidden_size])
    return g.build()


def _all_depths(model: ModelDir, form: Form) -> ModelProto:
    g = Graph("draft", model, form)
    heads = Heads(g)
    state = g.input("state", FLOAT, ["batch", "width", g.config.hidden_size])
    if heads.config.body != "block":
        give_out(heads, *drafts_without_cache(heads, state, None), ("logits", "ids"), "width")
        return g.build()
    rows = g.input("rows", INT64, ["batch", "rows"])
    caches = [Cache(g, CACHES, module) for module in range(heads.config.modules)]
    places = chain_places(g, g.size(state, 1), g.size(caches[0].keys, 2))
    drafts = drafts_of_blocks(heads, Rows(state, rows, places, caches, None))
    give_out(heads, *drafts, ("logits", "ids"), "rows")
    return g.build()
