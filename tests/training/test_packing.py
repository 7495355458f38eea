"""Labels of packed documents against slicing each document by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt.errors import ArgumentError
from mtp_rt.training.pretrain.packing import Order, Packed


def packed(lengths: list[int]) -> Packed:
    """Documents whose tokens are all different: a token says where it is."""
    ends = np.cumsum(lengths)
    documents = [
        np.arange(end - length, end, dtype=np.int32) for length, end in zip(lengths, ends, strict=True)
    ]
    return Packed.of(documents, sum(lengths))


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    sequence=st.integers(1, 12),
    n=st.integers(1, 6),
    offset=st.integers(0, 11),
)
def test_labels_stay_in_their_document(lengths: list[int], sequence: int, n: int, offset: int) -> None:
    text = packed(lengths)
    if sum(lengths) < sequence:
        with pytest.raises(ArgumentError, match="more than the text has"):
            text.begins(sequence)
        return
    begins = text.begins(sequence, offset % sequence)
    batch = text.batch(begins, sequence, n)
    document = np.repeat(np.arange(len(lengths)), lengths)
    for row, begin in enumerate(begins):
        for t in range(sequence):
            at = begin + t
            assert batch.tokens_BT[row, t] == at
            for i in range(n):
                inside = at + 1 + i < len(document) and document[at + 1 + i] == document[at]
                assert bool(batch.valid_BTN[row, t, i]) == inside
                if inside:
                    assert batch.ahead_BTN[row, t, i] == at + 1 + i


@pytest.mark.parametrize(("tokens", "sequence", "batch"), [(100, 7, 3), (64, 8, 2), (1000, 16, 4)])
def test_a_pass_reads_every_sequence_once(tokens: int, sequence: int, batch: int) -> None:
    text = packed([tokens])
    order = Order(text, sequence, batch, seed=1)
    first = np.concatenate([order.step(step) for step in range(order.steps_per_epoch)])
    assert len(set(first.tolist())) == len(first) == batch * order.steps_per_epoch
    assert len({int(begin) % sequence for begin in first}) == 1
    assert len(first) * sequence > tokens - (batch + 2) * sequence
    second = np.concatenate(
        [order.step(step) for step in range(order.steps_per_epoch, 2 * order.steps_per_epoch)]
    )
    assert first.tolist() != second.tolist()


def test_a_step_depends_on_its_number_alone() -> None:
    text = packed([500])
    straight, jumping = Order(text, 8, 4, seed=2), Order(text, 8, 4, seed=2)
    steps = [straight.step(step).tolist() for step in range(40)]
    assert [jumping.step(step).tolist() for step in (39, 3, 20)] == [steps[39], steps[3], steps[20]]


def test_less_text_than_one_step_comes_up_again() -> None:
    begins = Order(packed([20]), 8, 16, seed=0).step(0)
    assert len(begins) == 16
    assert begins.max() <= 12
