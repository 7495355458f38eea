"""Step tables against figures worked out by hand, and the limits of the settings."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mtp_rt.bench import steps
from mtp_rt.errors import ArgumentError

INFO = SimpleNamespace(max_rows=16, context=100)
ROUNDS = [
    steps.Round({1: [0.002, 0.002, 0.009], 4: [0.003, 0.003, 0.003]}, 50.0),
    steps.Round({1: [0.004, 0.004, 0.004], 4: [0.005, 0.005, 0.005]}, 25.0),
    steps.Round({1: [0.001, 0.001, 0.001], 4: [0.002, 0.002, 0.002]}, 100.0),
]


def test_tables_are_medians_and_ratios_are_taken_within_a_round() -> None:
    """Oracle: by hand. Ratios are 1.5, 1.25 and 2 in the three rounds, whose median is 1.5."""
    tables = steps.tables({64: ROUNDS})
    assert tables["verify_ms"] == {"64": {"1": 2.0, "4": 3.0}}
    assert tables["verify_ratio"] == {"64": {"1": 1.0, "4": 1.5}}


def test_bandwidth_fraction_pairs_each_round_with_its_own_bandwidth() -> None:
    """Oracle: 90 MB in 2, 4 and 1 ms are 45, 22.5 and 90 GB/s: 0.9 of what was measured beside each."""
    assert steps.bandwidth_fraction(ROUNDS, 90_000_000) == pytest.approx(0.9)


def test_default_contexts_are_those_that_fit() -> None:
    """Oracle: by hand. Beside 8 rows a context of 100 has room for 92 tokens, one of 20 for 12."""
    assert steps.Settings((8,), (), 1).checked(INFO).contexts == (64,)
    assert steps.Settings((8,), (), 1).checked(SimpleNamespace(max_rows=16, context=20)).contexts == (12,)


def test_settings_gain_the_plain_step_and_are_sorted() -> None:
    checked = steps.Settings((8, 2, 8), (64, 16), 3).checked(INFO)
    assert checked == steps.Settings((1, 2, 8), (16, 64), 3)


@pytest.mark.parametrize(
    ("widths", "contexts", "named"),
    [((17,), (8,), "widths"), ((0,), (8,), "widths"), ((4,), (97,), "contexts"), ((4,), (0,), "contexts")],
)
def test_settings_that_the_engine_cannot_run_are_refused(
    widths: tuple[int, ...], contexts: tuple[int, ...], named: str
) -> None:
    with pytest.raises(ArgumentError, match=named):
        steps.Settings(widths, contexts, 1).checked(INFO)
