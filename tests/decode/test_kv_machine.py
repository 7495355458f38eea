"""Commit and roll back in any order: the fake engine's cache against a list, the loop against solo texts."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from loop import VOCAB, Ask, Outcome, solo

from mtp_rt import _core
from mtp_rt import _core_testing as native

SLOTS = 3


class Loop(RuleBasedStateMachine):
    """Requests come, go and are cancelled in any order, with drafts that are right now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = native.FakeEngine(slots=SLOTS, max_rows=12)
        self.scheduler = _core.Scheduler(self.engine, prefill_chunk=5, verify_ms=[1.0, 1.1, 1.2])
        self.plains: dict[int, Outcome] = {}
        self.outcomes: dict[int, Outcome] = {}

    @rule(
        prompt=st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=12),
        max_tokens=st.integers(1, 20),
        penalty=st.sampled_from([0.0, 1.5]),
        acceptance=st.floats(0, 1),
        tree=st.booleans(),
    )
    def submit(
        self, prompt: list[int], max_tokens: int, penalty: float, acceptance: float, tree: bool
    ) -> None:
        params = {"temperature": 0.8, "presence_penalty": penalty, "seed": len(self.plains)}
        ask = Ask(tuple(prompt), params, max_tokens=max_tokens)
        plain = solo(ask)
        number = self.scheduler.submit(ask.scripted(plain.tokens, acceptance, tree=tree))
        self.plains[number], self.outcomes[number] = plain, Outcome()

    @rule(steps=st.integers(1, 4))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            for event in self.scheduler.run_once():
                self.outcomes[event.request].add(event)

    @precondition(lambda self: self.outcomes)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.scheduler.cancel(data.draw(st.sampled_from(sorted(self.outcomes))))

    @invariant()
    def texts_are_beginnings_of_solo_texts(self) -> None:
        for number, outcome in self.outcomes.items():
            plain = self.plains[number]
            assert outcome.tokens == plain.tokens[: len(outcome.tokens)]
            assert outcome.error is None
            assert outcome.finish != "length" or outcome.tokens == plain.tokens

    @invariant()
    def slots_hold_running_requests_only(self) -> None:
        used = sum(self.engine.length(slot) > 0 for slot in range(SLOTS))
        assert used <= self.scheduler.running <= SLOTS

    def teardown(self) -> None:
        for _ in range(500):
            if all(outcome.finish for outcome in self.outcomes.values()):
                break
            self.step(1)
        assert all(outcome.finish for outcome in self.outcomes.values())
        assert [self.engine.length(slot) for slot in range(SLOTS)] == [0] * SLOTS


class Cache(RuleBasedStateMachine):
    """Engine calls at random: a slot's next logits depend on exactly the tokens that a list says it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = native.FakeEngine(slots=SLOTS)
        self.texts: list[list[int]] = [[] for _ in range(SLOTS)]

    @rule(slot=st.integers(0, SLOTS - 1), data=st.data())
    def verify_tree_and_keep_a_path(self, slot: int, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, 8))
        parents = [-1, *(data.draw(st.integers(0, i)) for i in range(count - 1))]
        tokens = data.draw(st.lists(st.integers(0, VOCAB - 1), min_size=count, max_size=count))
        positions = [len(self.texts[slot])]
        for parent in parents[1:]:
            positions.append(positions[parent] + 1)
        self.engine.verify([slot] * count, tokens, positions, parents, [True] * count)
        leaf = data.draw(st.integers(-1, count - 1))
        path: list[int] = []
        while leaf >= 0:
            path.insert(0, leaf)
            leaf = parents[leaf]
        self.engine.commit([(slot, path)])
        self.texts[slot] += [tokens[row] for row in path]

    @rule(slot=st.integers(0, SLOTS - 1))
    def release(self, slot: int) -> None:
        self.engine.release(slot)
        self.texts[slot] = []

    @invariant()
    def logits_are_those_of_the_text(self) -> None:
        for slot, text in enumerate(self.texts):
            assert self.engine.length(slot) == len(text)
            fresh = native.FakeEngine()
            rows = [*text, 7]
            count = len(rows)
            if count > 64:
                continue
            wanted = [False] * (count - 1) + [True]
            expected, *_ = fresh.verify(
                [0] * count, rows, list(range(count)), list(range(-1, count - 1)), wanted
            )
            got, *_ = self.engine.verify([slot], [7], [len(text)], [-1], [True])
            assert np.array_equal(got, expected)


TestLoop = Loop.TestCase
TestLoop.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestCache = Cache.TestCase
TestCache.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
