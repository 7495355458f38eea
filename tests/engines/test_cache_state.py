"""Slots against a list model: a slot is the list of its committed tokens, nothing else.

Random programs of verify, commit, release and refused calls run on one engine; in the end the next row of
every slot must have the bits of a fresh engine that was fed that list.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from driving import Row, chain, feed, tree, verify
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mtp_rt._core import ArgumentError, CapacityError, Engine

SLOTS, CONTEXT, MAX_ROWS = 3, 40, 12
TOKENS = st.integers(0, 511)


class Slots(RuleBasedStateMachine):
    engine: Engine
    fresh: Engine

    def __init__(self) -> None:
        super().__init__()
        for slot in range(SLOTS):
            self.engine.release(slot)
        self.model: list[list[int]] = [[] for _ in range(SLOTS)]
        self.pending: dict[int, tuple[int, list[int], list[int]]] = {}  # slot -> first row, tokens, parents

    @rule(data=st.data(), slots=st.sets(st.integers(0, SLOTS - 1), min_size=1))
    def run_trees(self, data: st.DataObject, slots: set[int]) -> None:
        rows: list[Row] = []
        self.pending = {}
        for slot in data.draw(st.permutations(sorted(slots))):
            size = data.draw(st.integers(1, min(4, CONTEXT - len(self.model[slot])) or 1))
            if len(self.model[slot]) + size > CONTEXT:
                continue
            tokens = data.draw(st.lists(TOKENS, min_size=size, max_size=size))
            parents = [-1] + [data.draw(st.integers(0, i - 1)) for i in range(1, size)]
            self.pending[slot] = len(rows), tokens, parents
            rows += tree(self.engine, slot, tokens, parents, first=len(rows))
        if rows:
            verify(self.engine, rows)

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), skipped=st.sets(st.integers(0, SLOTS - 1)))
    def keep_paths(self, data: st.DataObject, skipped: set[int]) -> None:
        kept = []
        for slot, (first, tokens, parents) in self.pending.items():
            if slot in skipped:
                continue
            path: list[int] = []
            last = -1
            children = [0]
            while children and (not path or data.draw(st.booleans())):
                last = data.draw(st.sampled_from(children))
                path.append(last)
                children = [i for i, parent in enumerate(parents) if parent == last]
            kept.append((slot, [first + node for node in path]))
            self.model[slot] += [tokens[node] for node in path]
        self.engine.commit(kept)
        self.pending = {}

    @rule(slot=st.integers(0, SLOTS - 1))
    def release(self, slot: int) -> None:
        self.engine.release(slot)
        self.model[slot] = []
        self.pending.pop(slot, None)

    @rule(slot=st.integers(0, SLOTS - 1), token=st.sampled_from([-1, 512, 2**31 - 1]))
    def refuse_a_token(self, slot: int, token: int) -> None:
        with pytest.raises((ArgumentError, CapacityError)):
            verify(self.engine, chain(self.engine, slot, [1, token]))

    @precondition(lambda self: self.pending)
    @rule()
    def refuse_a_row_that_follows_nothing(self) -> None:
        slot, (first, tokens, _) = next(iter(self.pending.items()))
        with pytest.raises(ArgumentError):
            self.engine.commit([(slot, [first + len(tokens)])])

    @invariant()
    def lengths_are_the_lists(self) -> None:
        assert [self.engine.length(slot) for slot in range(SLOTS)] == [len(m) for m in self.model]

    def teardown(self) -> None:
        """Compare what the slots remember: the next row's bits, of all slots in one call."""
        probed = [slot for slot in range(SLOTS) if len(self.model[slot]) < CONTEXT]
        rows: list[Row] = []
        for slot in probed:
            rows += chain(self.engine, slot, [42], first=len(rows))
        found = verify(self.engine, rows)
        for i, slot in enumerate(probed):
            self.fresh.release(0)
            feed(self.fresh, 0, self.model[slot], chunk=MAX_ROWS)
            expected = verify(self.fresh, chain(self.fresh, 0, [42]))
            assert np.array_equal(found.row(i), expected.row(0)), f"slot {slot}"


def test_slots_behave_as_lists(tiny_model: Path) -> None:
    options = {"threads": 1, "slots": SLOTS, "context": CONTEXT, "max_rows": MAX_ROWS}
    Slots.engine, Slots.fresh = (Engine(str(tiny_model), **options) for _ in range(2))
    try:
        run_state_machine_as_test(
            Slots,
            settings=settings(
                max_examples=200,
                stateful_step_count=20,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        del Slots.engine, Slots.fresh
