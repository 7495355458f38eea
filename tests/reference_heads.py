"""Extra heads in PyTorch float64, as docs/model_dir.md defines them: what native drafts are compared with.

Shape letters: T committed positions with a state, D hidden size, K depths, V scores, G key-value heads,
H query heads, S head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mtp_rt.model_dir import HeadsConfig, read_model_dir
from reference import Reference


class HeadsReference(Reference):
    """A model directory with extra heads. `simulate` as in Reference."""

    def __init__(self, path: Path, *, simulate: bool = False) -> None:
        super().__init__(path, simulate=simulate)
        assert self.config.extra_heads is not None
        self.heads: HeadsConfig = self.config.extra_heads
        model = read_model_dir(path)
        own = self.heads.draft_vocab_size is not None
        self.scored = np.frombuffer(model.tensor("heads.draft_ids"), np.int32) if own else None

    @torch.no_grad()
    def scores(
        self, tokens: Sequence[int], drafts: Sequence[int], states_TD: Tensor, taps_TLD: Tensor
    ) -> Tensor:
        """Return the scores [K, V] of draft 1, 2, ... behind `tokens`, where `drafts` [K] were drafted.

        Entry v scores token(v).

        Args:
            tokens: the last one is committed but has no state yet.
            drafts: what each depth drafted.
            states_TD: the trunk's states of all but the last token, after the final norm.
            taps_TLD: the outputs of its layers.
        """
        origin_TD = states_TD.double()
        if self.heads.taps:
            tapped_TD = taps_TLD[:, list(self.heads.taps)].double().flatten(1)
            origin_TD = self._product("heads.fuse.weight", tapped_TD)
        text = [*tokens, *drafts]
        attends = self.heads.body == "block"
        states = self._blocks(origin_TD, text) if attends else self._chain(origin_TD[-1:], text)
        return torch.cat([self._product(self._unembed(k), state_1D) for k, state_1D in enumerate(states)])

    def _unembed(self, k: int) -> str:
        if self.heads.unembedding == "own":
            return f"heads.{k}.unembed.weight"
        return self.output if self.scored is None else "heads.unembed.weight"

    def token(self, entry: int) -> int:
        """Return the token that an entry of the scores belongs to."""
        return entry if self.scored is None else int(self.scored[entry])

    def _chain(self, origin_1D: Tensor, text: Sequence[int]) -> list[Tensor]:
        """The states [1, D] of heads that read one position; text: all tokens and the drafts."""
        first = len(text) - self.heads.count - 1  # index of t_1
        states = []
        state_1D = origin_1D
        for k in range(self.heads.count):
            name = self._module(k)
            x = self._input(
                name, origin_1D if self.heads.wiring == "parallel" else state_1D, [text[first + k]]
            )
            if self.heads.body == "linear":
                out = self._product(f"{name}.linear.weight", x)
            else:
                base = origin_1D if self.heads.wiring == "parallel" else state_1D
                out = base + self._mlp(f"{name}.mlp", x)
            state_1D = self._finish(name, out)
            states.append(state_1D)
        return states

    def _module(self, k: int) -> str:
        return f"heads.{0 if self.heads.shared else k}"

    def _input(self, name: str, state_TD: Tensor, tokens: Sequence[int]) -> Tensor:
        """What a head reads [T, D or 2 D]; tokens: one per row, for sequential heads."""
        if self.heads.wiring != "sequential":
            return state_TD
        pair = (
            self._norm(f"{name}.state_norm", state_TD),
            self._norm(f"{name}.embed_norm", self.embed(tokens)),
        )
        return torch.cat(pair, dim=-1)

    def _finish(self, name: str, state_TD: Tensor) -> Tensor:
        return self._norm(f"{name}.norm", state_TD) if self.heads.output_norm else state_TD

    def _blocks(self, origin_TD: Tensor, text: Sequence[int]) -> list[Tensor]:
        """The states [1, D] of heads that attend."""
        return self._shared_block(origin_TD, text) if self.heads.shared else self._own_blocks(origin_TD, text)

    def _own_blocks(self, origin_TD: Tensor, text: Sequence[int]) -> list[Tensor]:
        """Separate modules: each runs over all places, on the states of the one before it."""
        rows = len(origin_TD)
        states, state_TD = [], origin_TD
        for k in range(self.heads.count):
            name = self._module(k)
            x_TD = self._block_input(
                name, origin_TD if self.heads.wiring == "parallel" else state_TD, text[k + 1 :][:rows]
            )
            block = _Block(self, name)
            state_TD = self._finish(name, torch.cat([block.step(x_TD[i : i + 1]) for i in range(rows)]))
            states.append(state_TD[-1:])
        return states

    def _shared_block(self, origin_TD: Tensor, text: Sequence[int]) -> list[Tensor]:
        """One module: step 1 over all places, each further step one place behind the last."""
        rows, name = len(origin_TD), self._module(0)
        block = _Block(self, name)
        x_TD = self._block_input(name, origin_TD, text[1:][:rows])
        states = [[self._finish(name, block.step(x_TD[i : i + 1])) for i in range(rows)][-1]]
        for k in range(1, self.heads.count):
            x_1D = self._block_input(name, states[-1], [text[rows + k]])
            states.append(self._finish(name, block.step(x_1D)))
        return states

    def _block_input(self, name: str, state_TD: Tensor, tokens: Sequence[int]) -> Tensor:
        pair = self._input(name, state_TD, tokens)
        return self._product(f"{name}.input_proj.weight", pair) if self.heads.wiring == "sequential" else pair


class _Block:
    """A transformer block that takes one place after the other and keeps its keys and values."""

    def __init__(self, model: HeadsReference, name: str) -> None:
        self._model, self._name = model, name
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []

    def step(self, x_1D: Tensor) -> Tensor:
        """Return the block's output [1, D] for its input at the next place."""
        m, name = self._model, self._name
        y_1D = m._norm(f"{name}.input_layernorm", x_1D)
        q_HS, k_GS, v_GS = (
            m._product(f"{name}.self_attn.{part}_proj.weight", y_1D).view(-1, m.config.head_dim)
            for part in "qkv"
        )
        place = len(self._keys)
        q_HS, k_GS = self._turn(q_HS, place), self._turn(k_GS, place)
        self._keys.append(k_GS)
        self._values.append(v_GS)
        first = 0 if m.heads.window is None else max(0, place + 1 - m.heads.window)
        k_TGS, v_TGS = torch.stack(self._keys[first:]), torch.stack(self._values[first:])
        group = m.config.heads // m.config.kv_heads
        k_THS, v_THS = k_TGS.repeat_interleave(group, dim=1), v_TGS.repeat_interleave(group, dim=1)
        chances_HT = torch.einsum("hs,ths->ht", q_HS, k_THS).div(m.config.head_dim**0.5).softmax(dim=-1)
        mixed_1D = torch.einsum("ht,ths->hs", chances_HT, v_THS).reshape(1, -1)
        x_1D = x_1D + m._product(f"{name}.self_attn.o_proj.weight", mixed_1D)
        y_1D = m._norm(f"{name}.post_attention_layernorm", x_1D)
        return x_1D + m._mlp(f"{name}.mlp", y_1D)

    def _turn(self, x_HS: Tensor, place: int) -> Tensor:
        config, half = self._model.config, x_HS.shape[1] // 2
        angles = place * config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
        apart = config.rope_layout == "half"
        first, second = x_HS.chunk(2, dim=1) if apart else (x_HS[:, 0::2], x_HS[:, 1::2])
        turned = (first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin())
        return torch.cat(turned, dim=1) if apart else torch.stack(turned, dim=-1).flatten(1)
