"""Measuring verify calls: what is called, what is refused, and that the slots are left empty."""

from __future__ import annotations

import pytest

from mtp_rt import _core
from mtp_rt import _core_testing as native
from mtp_rt.errors import ArgumentError, CapacityError


def test_time_verify_fills_warms_up_and_repeats() -> None:
    engine = native.FakeEngine(slots=3, max_rows=16)
    times = _core.time_verify(engine, width=4, context=40, repeat=5, slots=3)
    assert len(times) == 5
    assert all(time > 0 for time in times)
    assert engine.verify_calls == 3 * 3 + 1 + 5  # 40 tokens in calls of 16, a slot at a time
    assert engine.most_rows == 16
    assert [engine.length(slot) for slot in range(3)] == [0, 0, 0]


def test_measure_costs_gives_a_time_for_each_width() -> None:
    engine = native.FakeEngine()
    assert len(_core.measure_costs(engine)) == 16
    assert len(_core.measure_costs(engine, 3)) == 3
    assert engine.length(0) == 0


def test_measure_costs_stays_within_the_engine() -> None:
    assert len(_core.measure_costs(native.FakeEngine(max_rows=5))) == 5
    assert len(_core.measure_costs(native.FakeEngine(context=4))) == 4


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"width": 0}, ArgumentError, "width: 0"),
        ({"context": -1}, ArgumentError, "context: -1"),
        ({"repeat": 0}, ArgumentError, "repeat: 0"),
        ({"slots": 3}, ArgumentError, "slots: 3"),
        ({"width": 65}, CapacityError, "65 rows"),
        ({"width": 40, "slots": 2}, CapacityError, "80 rows"),
        ({"context": 4095}, CapacityError, "behind 4095 tokens"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    arguments: dict[str, int], error: type[Exception], words: str
) -> None:
    engine = native.FakeEngine(slots=2)
    with pytest.raises(error, match=words):
        _core.time_verify(engine, **({"width": 2, "context": 8, "repeat": 1} | arguments))


def test_a_slot_in_use_is_not_touched() -> None:
    engine = native.FakeEngine()
    engine.verify([0], [1], [0], [-1], [False])
    engine.commit([(0, [0])])
    with pytest.raises(ArgumentError, match="slot 0 is in use"):
        _core.measure_costs(engine)
    assert engine.length(0) == 1
    with pytest.raises(ArgumentError, match="max_width: 0"):
        _core.measure_costs(native.FakeEngine(), 0)
