"""Slots against a walk over the texts, token by token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shard_files import write_states

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.training.distill.shards import read_shard
from mtp_rt.training.distill.slots import SlotSet
from mtp_rt.training.distill.spans import SpanSet

DRAFTS = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for number in range(3):
        texts = [generator.integers(0, 7, length, np.int32) for length in (5, 9, 3, 12, 4, 8)]
        states = [generator.normal(size=(len(text), 4)).astype(np.float16) for text in texts]
        write_states(tmp_path, texts, states, number=number, splits=["train"] * 4 + ["dev"] * 2)
    return tmp_path


def walk(folder: Path, split: int) -> dict[bytes, tuple[list[int], list[int]]]:
    """Oracle: state -> (tokens that drafts are made from, tokens that they should guess)."""
    found = {}
    for path in sorted(folder.iterdir()):
        shard = read_shard(path)
        for text, (begin, end) in enumerate(zip(shard["starts"][:-1], shard["starts"][1:], strict=True)):
            for p in range(begin, end):
                own = [q for q in range(p + 1, end) if shard["loss_mask"][q]]
                if shard["splits"][text] == split and own[:2] == [p + 1, p + 2]:
                    made_from = [int(shard["tokens"][q]) for q in range(p + 1, min(end - 1, p + 1 + DRAFTS))]
                    labels = [int(shard["tokens"][q]) for q in range(p + 2, min(end, p + 2 + DRAFTS))]
                    found[shard["states"][p].tobytes()] = made_from, labels
    return found


@pytest.mark.parametrize(("split", "number"), [("train", 0), ("dev", 1)])
def test_slots_are_those_of_the_walk(folder: Path, split: str, number: int) -> None:
    expected = walk(folder, number)
    slots = SlotSet(folder, split, DRAFTS)
    assert len(slots) == len(expected)
    order = np.random.default_rng(1).permutation(len(slots))
    batch = slots.batch(order)
    for row in range(len(order)):
        made_from, labels = expected[batch.states_ND[row].astype(np.float16).tobytes()]
        count = len(labels)
        assert batch.valid_NK[row].tolist() == [k < count for k in range(DRAFTS)]
        assert batch.tokens_NK[row, :count].tolist() == made_from
        assert batch.labels_NK[row, :count].tolist() == labels
        # The teacher of the test is sure of the token that follows: the label.
        assert batch.teacher_ids_NKC[row, :count, 0].tolist() == labels


def test_token_counts_are_those_of_first_labels(folder: Path) -> None:
    slots = SlotSet(folder, "train", DRAFTS)
    labels = slots.batch(np.arange(len(slots))).labels_NK[:, 0]
    assert slots.token_counts(7).tolist() == np.bincount(labels, minlength=7).tolist()


def test_no_shards_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="run the stages write and record first"):
        SlotSet(tmp_path, "train", DRAFTS)


def test_a_truncated_shard_is_named(folder: Path) -> None:
    path = folder / "0001.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelFormatError, match=r"0001\.safetensors.*truncated"):
        SlotSet(folder, "train", DRAFTS)


@pytest.mark.parametrize("length", [1, 4, 100])
def test_spans_hold_every_slot_once_behind_its_text(folder: Path, length: int) -> None:
    """Oracle: the slots, which other tests check; and the rows of the shards, for what stands before them."""
    slots, spans = SlotSet(folder, "train", DRAFTS), SpanSet(folder, "train", DRAFTS, length=length)
    batch = spans.batch(np.arange(len(spans)))
    expected = slots.batch(np.arange(len(slots)))
    kept = batch.valid_NK[:, 0]
    for count in (1, 3, len(slots)):
        held = spans.batch(spans.first(count)).valid_NK[:, 0].sum()
        assert count <= held < count + spans.slots_each
        assert len(slots.first(count)) == count
    for name in ("states_ND", "tokens_NK", "labels_NK", "teacher_ids_NKC", "valid_NK"):
        np.testing.assert_array_equal(getattr(batch, name)[kept], getattr(expected, name))
    states = np.concatenate([read_shard(path)["states"] for path in sorted(folder.iterdir())])
    row_of = {state.tobytes(): row for row, state in enumerate(states)}
    for span in batch.states_ND.astype(np.float16).reshape(-1, spans.slots_each, states.shape[1]):
        rows = [row_of[state.tobytes()] for state in span]
        inside = len(set(rows))
        assert rows == [rows[0] + min(place, inside - 1) for place in range(spans.slots_each)]


def test_a_span_reads_true_tokens_in_its_prompt(folder: Path) -> None:
    spans = SpanSet(folder, "train", DRAFTS, length=100)
    batch = spans.batch(np.arange(1))
    shard = read_shard(folder / "0000.safetensors")
    assert batch.tokens_NK[:4, 0].tolist() == shard["tokens"][1:5].tolist()
    assert batch.tokens_NK[:3, 1].tolist() == shard["tokens"][2:5].tolist()
    assert batch.valid_NK[:, 0].tolist()[:4] == [False, True, True, False]
