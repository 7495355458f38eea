"""Extra heads against the formulas of docs/model_dir.md, one slot at a time in float64 numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mtp_rt.model_dir import HeadsConfig
from mtp_rt.models.heads import ExtraHeads
from mtp_rt.models.heads.attending import unroll_attending
from mtp_rt.models.layers import BlockShape

SHAPE = BlockShape(32, 64, 2, 1, 32, 1e-5, 10000.0, "half")
VOCAB, K, T = 50, 3, 7

Weights = dict[str, np.ndarray]


def make(wiring: str, body: str, *, shared: bool = False, norm: bool = False, taps: int = 0, window=None):
    config = HeadsConfig(
        None, K, wiring, body, shared, None if body == "linear" else 64, tuple(range(taps)), 32, norm, window,
        None, None,
    )  # fmt: skip
    torch.manual_seed(7)
    ids = torch.arange(5, 37)
    heads = ExtraHeads(config, SHAPE, torch.randn(VOCAB, 32), torch.randn(32, 32), ids).double()
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.ndim == 1 else 0.0, std=0.2)
    return heads


def rms(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + SHAPE.rms_norm_eps) * weight


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def mlp(w: Weights, x: np.ndarray) -> np.ndarray:
    gate, up = w["mlp.gate_proj.weight"] @ x, w["mlp.up_proj.weight"] @ x
    return w["mlp.down_proj.weight"] @ (silu(gate) * up)


def rotate(x: np.ndarray, position: int) -> np.ndarray:
    """Rotate heads [H, 32], halves paired."""
    angles = position * 10000.0 ** (-np.arange(16) / 16)
    first, second = x[:, :16], x[:, 16:]
    return np.concatenate(
        [first * np.cos(angles) - second * np.sin(angles), second * np.cos(angles) + first * np.sin(angles)],
        1,
    )


class Slotwise:
    """The run-time view: one slot, one draft, one cache entry after the other."""

    def __init__(self, heads: ExtraHeads, states: np.ndarray, tokens: np.ndarray) -> None:
        self.config, self.states, self.tokens = heads.config, states, tokens
        self.embedding = heads.embedding.numpy()
        parameters = {name: value.detach().numpy() for name, value in heads.named_parameters()}
        count = 1 if self.config.shared else K
        self.modules = [
            {n.removeprefix(f"{m}."): v for n, v in parameters.items() if n.startswith(f"{m}.")}
            for m in range(count)
        ]

    def module(self, draft: int) -> Weights:
        return self.modules[0 if self.config.shared else draft - 1]

    def inputs(self, w: Weights, read: np.ndarray, slot: int, draft: int) -> np.ndarray:
        if self.config.wiring != "sequential":
            return read
        embedded = self.embedding[self.tokens[slot, draft - 1]]
        return np.concatenate([rms(read, w["state_norm.weight"]), rms(embedded, w["embed_norm.weight"])])

    def state(self, slot: int, draft: int) -> np.ndarray:
        """s_draft of a slot."""
        if draft == 0:
            return self.states[slot]
        w = self.module(draft)
        read = self.states[slot] if self.config.wiring == "parallel" else self.state(slot, draft - 1)
        x = self.inputs(w, read, slot, draft)
        if self.config.body == "linear":
            made = w["linear.weight"] @ x
        elif self.config.body == "residual":
            made = read + mlp(w, x)
        else:
            made = self.block(w, slot, draft)
        return rms(made, w["norm.weight"]) if self.config.output_norm else made

    def block_input(self, w: Weights, slot: int, draft: int) -> np.ndarray:
        read = self.states[slot] if self.config.wiring == "parallel" else self.state(slot, draft - 1)
        x = self.inputs(w, read, slot, draft)
        return w["input_proj.weight"] @ x if self.config.wiring == "sequential" else x

    def cached(self, w: Weights, slot: int, draft: int, position: int) -> tuple[np.ndarray, np.ndarray]:
        normed = rms(self.block_input(w, slot, draft), w["input_layernorm.weight"])
        key = rotate((w["self_attn.k_proj.weight"] @ normed).reshape(1, 32), position)
        return key[0], w["self_attn.v_proj.weight"] @ normed

    def block(self, w: Weights, slot: int, draft: int) -> np.ndarray:
        x = self.block_input(w, slot, draft)
        normed = rms(x, w["input_layernorm.weight"])
        query = rotate((w["self_attn.q_proj.weight"] @ normed).reshape(2, 32), slot + draft - 1)
        if self.config.shared:  # committed slots by first steps, then this slot's own drafts
            seen = [self.cached(w, earlier, 1, earlier) for earlier in range(slot + 1)]
            seen += [self.cached(w, slot, step, slot + step - 1) for step in range(2, draft + 1)]
        else:
            seen = [self.cached(w, earlier, draft, earlier + draft - 1) for earlier in range(slot + 1)]
        if self.config.window is not None:
            seen = seen[-self.config.window :]
        scores = np.stack([key for key, _ in seen]) @ query.T / np.sqrt(32)
        shares = np.exp(scores - scores.max(axis=0))
        shares /= shares.sum(axis=0)
        mixed = (shares.T @ np.stack([value for _, value in seen])).reshape(-1)
        x = x + w["self_attn.o_proj.weight"] @ mixed
        return x + mlp(w, rms(x, w["post_attention_layernorm.weight"]))


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(T, 32, generator=generator, dtype=torch.float64)
    return states, torch.randint(0, VOCAB, (T, K), generator=generator)


@pytest.mark.parametrize(
    ("wiring", "shared"),
    [
        ("parallel", False),
        *((wiring, shared) for wiring in ("chained", "sequential") for shared in (False, True)),
    ],
)
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("body", ["linear", "residual", "block"])
def test_unroll_is_the_formula(wiring: str, body: str, norm: bool, shared: bool) -> None:
    heads = make(wiring, body, shared=shared, norm=norm)
    states, tokens = inputs()
    if body == "block":
        made = [part[0] for part in unroll_attending(heads, states[None], tokens[None])]
    else:
        made = heads.unroll(states, tokens)
    oracle = Slotwise(heads, states.numpy(), tokens.numpy())
    for draft in range(1, K + 1):
        for slot in range(T):
            np.testing.assert_allclose(
                made[draft - 1][slot].detach().numpy(), oracle.state(slot, draft), rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("window", [1, 2, 4])
def test_a_window_hides_what_lies_behind_it(window: int) -> None:
    heads = make("sequential", "block", shared=True, window=window)
    states, tokens = inputs()
    made = unroll_attending(heads, states[None], tokens[None])
    oracle = Slotwise(heads, states.numpy(), tokens.numpy())
    for draft in range(1, K + 1):
        for slot in range(T):
            np.testing.assert_allclose(
                made[draft - 1][0, slot].detach().numpy(), oracle.state(slot, draft), rtol=1e-5, atol=1e-6
            )


def test_fewer_slots_go_further_without_changing_the_others() -> None:
    heads = make("sequential", "residual", shared=True)
    states, tokens = inputs()
    full, cut = heads.unroll(states, tokens), heads.unroll(states, tokens, [7, 4, 2])
    assert [len(part) for part in cut] == [7, 4, 2]
    for whole, part in zip(full, cut, strict=True):
        torch.testing.assert_close(whole[: len(part)], part)


def test_taps_are_fused_into_the_first_state() -> None:
    heads = make("sequential", "residual", shared=True, taps=2)
    taps = torch.randn(T, 2, 32)
    fused = heads.float().start(torch.zeros(T, 32), taps)
    torch.testing.assert_close(fused, taps.flatten(1) @ heads.fuse.weight.T)
    assert heads.state_dict()["fuse.weight"].shape == (32, 64)


def test_new_heads_pass_the_state_through() -> None:
    torch.manual_seed(0)
    config = HeadsConfig(None, 2, "sequential", "residual", True, 64, (), None, False, None, None, None)
    heads = ExtraHeads(config, SHAPE, torch.randn(VOCAB, 32), torch.randn(VOCAB, 32), None)
    states = torch.randn(4, 32)
    for made in heads.unroll(states, torch.zeros(4, 2, dtype=torch.long)):
        torch.testing.assert_close(made, states)
