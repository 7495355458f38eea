"""One head at a time against one graph for all of them, in float64; and what it saves, counted in bytes."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.small_models import TRUNK, make_batch, make_model
from mtp_rt.models.head_by_head import TokenBatch, backward_head_by_head, score_heads
from mtp_rt.models.heads import PRESETS, ExtraHeads
from mtp_rt.models.heads.attending import unroll_attending
from mtp_rt.models.linear_cross_entropy import IGNORE, linear_cross_entropy
from mtp_rt.models.multi_token import MultiTokenModel

NAMES = [*PRESETS, "anticausal"]


def naive_states(model: MultiTokenModel, batch: TokenBatch) -> list[torch.Tensor]:
    """Oracle: s_0 .. s_K in one graph, by the unrolling that tests/models/test_heads_unroll.py holds true."""
    states, start = model.begin(batch.tokens_BT)
    if model.heads is None:
        return [states]
    config = replace(model.heads.config, unembedding="shared")
    heads = ExtraHeads(config, model.heads.shape, model.embedding, model.unembedding, None)
    heads._modules.update(model.heads._modules)
    if heads.attends:
        return [states, *unroll_attending(heads, start, batch.ahead_BTN[:, :, : model.n - 1])]
    flat = heads.unroll(start.flatten(0, 1), batch.ahead_BTN[:, :, : model.n - 1].flatten(0, 1))
    return [states, *(state.view_as(start) for state in flat)]


def naive_losses(model: MultiTokenModel, batch: TokenBatch) -> torch.Tensor:
    """Oracle: the sums of cross-entropies by how far ahead, in one graph."""
    losses, own = {}, [part for name, part in model.named_parameters() if name.endswith("unembed.weight")]
    for draft, state in enumerate(naive_states(model, batch)):
        labels = batch.labels(model.offset(draft))
        logits = state.flatten(0, 1) @ (own[draft - 1] if own and draft else model.unembedding).T
        losses[model.offset(draft)] = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return torch.stack([losses[offset] for offset in sorted(losses)])


def gradients(model: MultiTokenModel) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def assert_same_gradients(
    model: MultiTokenModel, batch: TokenBatch, weights: list[float], *, keep: int = 0
) -> None:
    naive = naive_losses(model, batch)
    (naive * naive.new_tensor(weights)).sum().backward()
    expected = gradients(model)
    sums = backward_head_by_head(model, batch, weights, torch.float64, keep=keep)
    found = gradients(model)
    torch.testing.assert_close(sums, naive.detach())
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("preset", NAMES)
def test_gradients_are_those_of_the_sum(preset: str, tied: bool) -> None:
    model = make_model(preset, 4, replace(TRUNK, tied_embedding=tied)).double()
    assert_same_gradients(model, make_batch(4), [0.7, 0.4, 0.9, 0.2])


@pytest.mark.parametrize("keep", [1, 3])
@pytest.mark.parametrize("preset", NAMES)
def test_kept_graphs_change_nothing_about_that(preset: str, keep: int) -> None:
    assert_same_gradients(make_model(preset, 4).double(), make_batch(4), [0.7, 0.4, 0.9, 0.2], keep=keep)


@pytest.mark.parametrize("preset", ["gloeckle", "causal", "anticausal", "hydra"])
def test_heads_with_output_matrices_of_their_own(preset: str) -> None:
    model, batch = make_model(preset, 3, own_unembedding=True).double(), make_batch(3)
    assert len({id(model.unembedding_of(draft)) for draft in range(3)}) == 3
    assert_same_gradients(model, batch, [0.7, 0.4, 0.9])
    scores = score_heads(model, batch, torch.float64)
    torch.testing.assert_close(
        torch.stack([part.losses_N.sum() for part in scores]), naive_losses(model, batch).detach()
    )


@pytest.mark.parametrize("preset", ["causal", "fastmtp"])
def test_a_window_changes_nothing_about_that(preset: str) -> None:
    assert_same_gradients(make_model(preset, 3, window=2).double(), make_batch(3), [1.0, 1.0, 1.0])


def test_one_head_is_next_token_training() -> None:
    assert_same_gradients(make_model("gloeckle", 1).double(), make_batch(1), [1.0])


@pytest.mark.parametrize("preset", NAMES)
def test_scores_are_those_losses(preset: str) -> None:
    model, batch = make_model(preset, 3).double(), make_batch(3)
    scores = score_heads(model, batch, torch.float64)
    torch.testing.assert_close(
        torch.stack([part.losses_N.sum() for part in scores]), naive_losses(model, batch).detach()
    )


@pytest.mark.parametrize("preset", ["gloeckle", "causal", "fastmtp"])
def test_fewer_heads_leave_the_others_alone(preset: str) -> None:
    model, batch = make_model(preset, 4).double(), make_batch(4)
    naive_losses(model, batch)[:2].sum().backward()
    expected = gradients(model)
    backward_head_by_head(model, batch, [1.0, 1.0], torch.float64)
    found = gradients(model)
    assert {name for name, gradient in expected.items() if gradient.any()} == set(found)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-11)


def test_chunks_of_rows_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: cross-entropy of all logits at once."""
    monkeypatch.setattr("mtp_rt.models.linear_cross_entropy._CHUNK_ROWS", (3, 3))
    states = torch.randn(10, 8, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(20, 8, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([1, 2, IGNORE, 3, 4, 19, IGNORE, 0, 7, 7])
    found = torch.autograd.grad(
        3 * linear_cross_entropy(states, matrix, labels, torch.float64), (states, matrix)
    )
    loss = 3 * F.cross_entropy(states @ matrix.T, labels, ignore_index=IGNORE, reduction="sum")
    for ours, theirs in zip(found, torch.autograd.grad(loss, (states, matrix)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_bfloat16_stays_near() -> None:
    model, batch = make_model("causal", 3), make_batch(3)
    exact = backward_head_by_head(model, batch, [1.0] * 3)
    wide = gradients(model)
    narrow_sums = backward_head_by_head(model, batch, [1.0] * 3, torch.bfloat16)
    narrow = gradients(model)
    torch.testing.assert_close(narrow_sums, exact, rtol=2e-2, atol=0)
    assert narrow.keys() == wide.keys()
    for name, gradient in wide.items():
        assert (narrow[name] - gradient).norm() < 0.1 * gradient.norm() + 1e-3, name


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that operations make, for as long as something holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


LARGE = replace(TRUNK, layers=9, vocab_size=2000)


def peak(preset: str, n: int, naive: bool, keep: int = 0) -> int:
    """Peak of what a compute-matched step allocates beside weights and their gradients."""
    trunk = replace(LARGE, layers=LARGE.layers - (n - 1))
    model, batch = make_model(preset, n, trunk), make_batch(n, texts=2, length=128, vocab=2000)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with LiveBytes() as counter:
        if naive:
            naive_losses(model, batch).sum().backward()
        else:
            backward_head_by_head(model, batch, [1.0] * n, keep=keep)
    return counter.peak


FLAT = [("gloeckle", 0), ("causal", 0), ("causal", 3), ("anticausal", 3), ("deepseek", 0)]


@pytest.mark.parametrize(("preset", "keep"), FLAT)
def test_memory_is_flat_in_the_number_of_heads(preset: str, keep: int) -> None:
    peaks = [peak(preset, n, naive=False, keep=keep) for n in (1, 2, 4, 8)]
    assert max(peaks) <= 1.05 * peaks[0], peaks
    assert peak(preset, 8, naive=True) > 3 * peaks[-1]
