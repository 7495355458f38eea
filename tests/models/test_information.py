"""The decomposition of the two-token loss: identities, sums over outcomes, and cases known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtp_rt.errors import ArgumentError
from mtp_rt.models.information import cross_entropies, entropies


@st.composite
def joints(draw: st.DrawFn, count: int, least: int = 0) -> list[np.ndarray]:
    """Joint distributions of one shape; of the first, chances may be 0 where `least` is."""
    rows, cols = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    made = []
    for number in range(count):
        cells = st.integers(least if number == 0 else 1, 9)
        counts = np.array(draw(st.lists(cells, min_size=rows * cols, max_size=rows * cols)), float)
        counts[0] += 1
        made.append((counts / counts.sum()).reshape(rows, cols))
    return made


@given(joints(2))
def test_the_parts_add_up(case: list[np.ndarray]) -> None:
    p, q = case
    for parts in (entropies(p), cross_entropies(p, q)):
        both = parts.first + parts.second
        assert both == pytest.approx(parts.x_given_y + 2 * parts.shared + parts.y_given_x, abs=1e-12)
        assert parts.first == pytest.approx(parts.x_given_y + parts.shared, abs=1e-12)


@given(joints(2))
def test_each_part_is_its_sum_over_outcomes(case: list[np.ndarray]) -> None:
    """Oracle: expectations written out, outcome by outcome; divergences from their definition."""
    p, q = case
    parts = cross_entropies(p, q)
    outcomes = [(x, y) for x in range(p.shape[0]) for y in range(p.shape[1]) if p[x, y] > 0]
    q_x, q_y = [sum(row) for row in q.tolist()], [sum(column) for column in q.T.tolist()]

    def mean(value):
        return sum(p[x, y] * value(x, y) for x, y in outcomes)

    assert parts.first == pytest.approx(mean(lambda x, _: -math.log2(q_x[x])))
    assert parts.second == pytest.approx(mean(lambda _, y: -math.log2(q_y[y])))
    assert parts.x_given_y == pytest.approx(mean(lambda x, y: -math.log2(q[x, y] / q_y[y])))
    assert parts.y_given_x == pytest.approx(mean(lambda x, y: -math.log2(q[x, y] / q_x[x])))
    apart = mean(lambda x, y: math.log2(p[x, y] / (q_x[x] * q_y[y])))
    together = mean(lambda x, y: math.log2(p[x, y] / q[x, y]))
    assert parts.shared == pytest.approx(apart - together, abs=1e-12)


@given(joints(2))
def test_a_model_pays_its_divergences(case: list[np.ndarray]) -> None:
    p, q = case
    best, found = entropies(p), cross_entropies(p, q)
    assert found.first >= best.first - 1e-12
    assert found.second >= best.second - 1e-12
    assert best.shared >= -1e-12


def test_tokens_known_by_hand() -> None:
    copied = entropies(np.eye(4) / 4)  # Y repeats X: all of its two bits are shared
    assert (copied.first, copied.second, copied.shared) == (2, 2, 2)
    assert (copied.x_given_y, copied.y_given_x) == (0, 0)
    apart = entropies(np.full((2, 4), 1 / 8))  # one bit and two, nothing in common
    assert (apart.first, apart.second, apart.shared) == (1, 2, 0)
    half = entropies(np.array([[1 / 4, 1 / 4, 0, 0], [0, 0, 1 / 4, 1 / 4]]))  # X is the first bit of Y
    assert (half.first, half.second, half.shared, half.x_given_y, half.y_given_x) == (1, 2, 1, 0, 1)


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (np.array([0.5, 0.5]), np.array([0.5, 0.5])),
        (np.array([[0.5, 0.6]]), np.array([[0.5, 0.5]])),
        (np.array([[1.5, -0.5]]), np.array([[0.5, 0.5]])),
        (np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])),
        (np.array([[0.5, 0.5]]), np.array([[0.5], [0.5]])),
    ],
)
def test_what_is_no_distribution_is_refused(p: np.ndarray, q: np.ndarray) -> None:
    with pytest.raises(ArgumentError):
        cross_entropies(p, q)
