"""The form of ONNX graphs that ONNX Runtime runs soonest, for one sequence a call.

Its `GroupQueryAttention` rotates, writes the cache and attends in one node, but takes several rows of one
sequence alone; graphs of any number of sequences are in the portable form.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtp_rt.export.builder import FLOAT, Graph
from mtp_rt.export.weights import portable_embedding_rows, portable_products


def single_file(name: str) -> str:
    """Return the file of a graph's form for one sequence: "verify.single.onnx" of "verify.onnx"."""
    return name.removesuffix(".onnx") + ".single.onnx"


class OneSequence:
    """See mtp_rt.export.builder.Form."""

    batch: int | str = 1
    capacity: int | str = "capacity"
    cache_dtype: int = FLOAT
    grouped_attention = True

    def products(self, g: Graph, names: Sequence[str], x: str) -> list[str]:
        """Return the products as the portable form has them."""
        return portable_products(g, names, x)

    def embedding_rows(self, g: Graph, tokens: str) -> str:
        """Return the embeddings as the portable form has them."""
        return portable_embedding_rows(g, tokens)
