"""Interleaving, the bandwidth probe and rates, against their definitions."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtp_rt.bench import measure


@given(st.lists(st.integers(), unique=True, max_size=7), st.integers(0, 9))
def test_every_round_holds_every_item_once(items: list[int], rounds: int) -> None:
    by_round: dict[int, list[int]] = {}
    order = []
    for index, item in measure.interleaved(items, rounds):
        by_round.setdefault(index, []).append(item)
        order.append(index)
    assert order == sorted(order)
    assert all(Counter(round_items) == Counter(items) for round_items in by_round.values())
    assert len(by_round) == (rounds if items else 0)


def test_no_item_always_follows_the_same_one() -> None:
    """Oracle: over as many rounds as items, each item has several predecessors and comes first sometimes."""
    sequence = list(measure.interleaved("abcd", 4))
    before: dict[str, set[str]] = {}
    for (_, one), (_, other) in pairwise(sequence):
        before.setdefault(other, set()).add(one)
    assert all(len(names) >= 2 for names in before.values())


def test_probe_keeps_its_samples_and_averages_the_last_two(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([10.0, 30.0, 50.0])
    monkeypatch.setattr(measure._core, "read_bandwidth", lambda threads, seconds: next(figures))
    probe = measure.BandwidthProbe(threads=2)
    probe.sample()
    assert probe.around() == 10.0
    probe.sample()
    probe.sample()
    assert probe.around() == 40.0
    facts = measure.machine_facts("generic", 2, probe)
    assert facts["read_bandwidth_gb_s"] == 30.0
    assert facts["read_bandwidth_range_gb_s"] == [10.0, 50.0]
    assert facts["cpu"]


def test_rate_of_nothing_is_zero() -> None:
    assert measure.rate(10, 2.0) == 5.0
    assert measure.rate(0, 2.0) == measure.rate(10, 0.0) == 0.0
