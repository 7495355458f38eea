"""What one extra head computes: docs/model_dir.md has the formulas."""

from __future__ import annotations

from mtp_rt.export.builder import INT64, Graph
from mtp_rt.export.graphs.trunk import Attended, block, mlp
from mtp_rt.export.weights import embedding_rows, norm, product
from mtp_rt.model_dir import HeadsConfig, heads_output_matrix

CACHES = "heads."  # what the names of the heads' caches start with


class Heads:
    """Adds heads to a graph."""

    def __init__(self, g: Graph) -> None:
        assert g.config.extra_heads is not None
        self.g = g
        self.config: HeadsConfig = g.config.extra_heads

    @property
    def scores(self) -> int:
        """Entries of a head's scores, V."""
        return self.config.draft_vocab_size or self.g.config.vocab_size

    def apply(self, module: int, state: str, base: str, tokens: str | None, attended: Attended | None) -> str:
        """Return the head's state s_k [B, rows, D].

        Args:
            module: which set of weights.
            state: s_{k-1}, or s_0 where heads are parallel, [B, rows, D].
            base: what a residual body adds to, [B, rows, D].
            tokens: t_k, [B, rows]; None unless sequential.
            attended: what a block attends to; None for other bodies.
        """
        g, name = self.g, f"heads.{module}"
        x = state if tokens is None else self._with_tokens(name, state, tokens)
        if attended is not None:
            x = x if tokens is None else product(g, f"{name}.input_proj.weight", x)
            out = block(g, name, x, attended)
        elif self.config.body == "residual":
            out = g.op("Add", base, mlp(g, f"{name}.mlp", x))
        else:
            out = product(g, f"{name}.linear.weight", x)
        return norm(g, f"{name}.norm.weight", out) if self.config.output_norm else out

    def score(self, module: int, state: str) -> tuple[str, str]:
        """Return scores [..., V] of a module's states [..., D], and the best full id of each [...]."""
        g = self.g
        logits = product(g, heads_output_matrix(g.config, module), state)
        if self.config.draft_vocab_size is None:
            return logits, best(g, logits)
        ids = g.op("Gather", g.weight("heads.draft_ids"), best(g, logits))
        return logits, g.cast(ids, INT64)

    def _with_tokens(self, name: str, state: str, tokens: str) -> str:
        embedding = embedding_rows(self.g, tokens)
        pair = (
            norm(self.g, f"{name}.state_norm.weight", state),
            norm(self.g, f"{name}.embed_norm.weight", embedding),
        )
        return self.g.op("Concat", *pair, axis=-1)


def best(g: Graph, logits: str) -> str:
    """Return the index of the largest of the last axis, the lowest of equals."""
    return g.op("ArgMax", logits, axis=-1, keepdims=0)
