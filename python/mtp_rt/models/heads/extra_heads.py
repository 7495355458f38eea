"""K extra heads on a frozen trunk.

Shape letters: N slots, K drafts, D hidden, S rows of the unembedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mtp_rt.model_dir import HeadsConfig
from mtp_rt.models.heads.modules import HeadModules
from mtp_rt.models.layers import BlockShape


class ExtraHeads(HeadModules):
    """The heads' modules, and what they share with their trunk: embedding and unembedding, both frozen.

    Args:
        config: wiring, body and sizes.
        shape: the trunk's block, with the inner size of the heads.
        embedding: the trunk's embedding [vocabulary, D], frozen.
        unembedding: what scores the states [S, D]: rows of the trunk's own output matrix, frozen.
        draft_ids: the tokens that the rows of the unembedding score, ascending; None: all of them.
    """

    def __init__(
        self,
        config: HeadsConfig,
        shape: BlockShape,
        embedding: Tensor,
        unembedding: Tensor,
        draft_ids: Tensor | None,
    ) -> None:
        assert config.unembedding == "shared"
        super().__init__(config, shape)
        self.register_buffer("embedding", embedding, persistent=False)
        self.register_buffer("unembedding", unembedding, persistent=False)
        ids = torch.arange(len(embedding)) if draft_ids is None else draft_ids.long()
        rows = torch.full((len(embedding),), -1)
        rows[ids] = torch.arange(len(ids))
        self.register_buffer("draft_ids", ids, persistent=False)
        self.register_buffer("row_of_token", rows, persistent=False)

    embedding: Tensor
    unembedding: Tensor
    draft_ids: Tensor
    row_of_token: Tensor

    def unroll(self, start_ND: Tensor, tokens_NK: Tensor, rows: Sequence[int] | None = None) -> list[Tensor]:
        """Return the states s_1 .. s_K of slots, each fed with the true tokens; not for bodies that attend.

        Args:
            start_ND: s_0 of the slots.
            tokens_NK: column k - 1 is the token that draft k is made from, at the slot's position + k.
            rows: how many slots, from the first, go on to draft 1, 2, ..., descending; None: all to K.

        Returns:
            For each draft a float tensor [rows of that draft, D].
        """
        counts = list(rows) if rows is not None else [len(start_ND)] * tokens_NK.shape[1]
        distinct, index_NK = torch.unique(tokens_NK, return_inverse=True)
        embedded_UD = self.embedding[distinct]
        readers = {module: module.reader(embedded_UD) for module in self.modules_in_use(len(counts))}
        states, state = [], start_ND
        for draft, count in enumerate(counts, start=1):
            module = self.module(draft)
            read = start_ND[:count] if self.config.wiring == "parallel" else state[:count]
            product = module.first_product(readers[module], read, index_NK[:count, draft - 1])
            state = module.finish(product, read)
            states.append(state)
        return states

    def logits(self, states_ND: Tensor) -> Tensor:
        """Return the draft vocabulary's logits [..., S]."""
        return F.linear(states_ND, self.unembedding.to(states_ND.dtype))
