"""The portable form of ONNX graphs, and the variants of it that other runtimes want."""

from __future__ import annotations

from collections.abc import Sequence

from mtp_rt.export.builder import FLOAT, OPSET, Graph
from mtp_rt.export.weights import portable_embedding_rows, portable_products


class Portable:
    """See mtp_rt.export.builder.Form.

    Args:
        opset: 24, or an older one whose graphs spell out what it lacks.
    """

    batch: int | str = "batch"
    capacity: int | str = "capacity"
    cache_dtype: int = FLOAT
    grouped_attention = False

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset

    def products(self, g: Graph, names: Sequence[str], x: str) -> list[str]:
        """Return the products as the portable form has them."""
        return portable_products(g, names, x)

    def embedding_rows(self, g: Graph, tokens: str) -> str:
        """Return the embeddings as the portable form has them."""
        return portable_embedding_rows(g, tokens)


PORTABLE = Portable()


class OneSequence(Portable):
    """The form that ONNX Runtime runs soonest, for one sequence a call.

    Its `GroupQueryAttention` rotates, writes the cache and attends in one node, but takes several rows of one
    sequence alone; graphs of any number of sequences are in the portable form.
    """

    batch: int | str = 1
    grouped_attention = True


def single_file(name: str) -> str:
    """Return the file of a graph's form for one sequence: "verify.single.onnx" of "verify.onnx"."""
    return name.removesuffix(".onnx") + ".single.onnx"
