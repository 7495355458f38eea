"""The law of rows: a row's bits depend on its token, position and ancestors only.

Oracle: the same sequence, one row a call, one thread, generic kernels. Equality is of every bit of logits,
trunk states and tapped layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Outputs, Row, chain, feed, run_alone, tree, verify
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt._core import Engine, available_isas

LENGTH = 270  # crosses the engine's blocks of 16 and 128 positions, twice the latter
SLOTS = 4
MODELS = [
    "tiny",
    "f32",
    "bf16",
    "q8",
    "one_stage",
    "q4_head",
    "odd_vocabulary",
    "head_dim_64",
    "ungrouped",
    "narrow",
]
BORDERS = [0, 1, 15, 16, 17, 100, 127, 128, 129, 250, 256]  # committed lengths at which trees are tried

Opener = Callable[..., Engine]


@pytest.fixture(scope="module")
def model_path(tiny_model: Path, variant: Callable[[str], Path]) -> Callable[[str], Path]:
    return lambda name: tiny_model if name == "tiny" else variant(name)


@pytest.fixture(scope="module")
def opened(model_path: Callable[[str], Path]) -> Opener:
    @cache
    def get(name: str, **options: Any) -> Engine:
        defaults: dict[str, Any] = {"threads": 1, "slots": SLOTS, "max_rows": 160}
        return Engine(str(model_path(name)), **(defaults | options))

    return get


@pytest.fixture(scope="module")
def alone(opened: Opener) -> Callable[[str], tuple[list[int], Outputs]]:
    """Return a function: model -> (tokens, outputs of every row run alone)."""

    @cache
    def get(name: str) -> tuple[list[int], Outputs]:
        engine = opened(name, isa="generic")
        tokens = np.random.default_rng(7).integers(0, engine.info.vocab_size, LENGTH).tolist()
        return tokens, run_alone(engine, tokens)

    return get


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def run_in_chunks(engine: Engine, tokens: list[int], chunk: int, slot: int = 0) -> Outputs:
    engine.release(slot)
    outputs = []
    for at in range(0, len(tokens), chunk):
        rows = chain(engine, slot, tokens[at : at + chunk])
        outputs.append(verify(engine, rows))
        engine.commit([(slot, range(len(rows)))])
    engine.release(slot)
    return Outputs(*(np.concatenate(parts) for parts in zip(*outputs, strict=True)))


def assert_same(found: Outputs, expected: Outputs) -> None:
    for index in range(len(expected.logits)):
        assert np.array_equal(found.row(index), expected.row(index)), f"row {index} differs"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("isa", available_isas())
def test_instruction_set_and_threads(name: str, isa: str, threads: int, opened: Opener, alone: Any) -> None:
    tokens, expected = alone(name)
    assert_same(run_in_chunks(opened(name, isa=isa, threads=threads), tokens, 64), expected)


@pytest.mark.parametrize("chunk", [*range(1, 17), 64, 128, 160])
def test_width_of_a_chain(chunk: int, opened: Opener, alone: Any) -> None:
    tokens, expected = alone("tiny")
    assert_same(run_in_chunks(opened("tiny"), tokens, chunk), expected)


@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_width_of_a_chain_on_other_weights(name: str, chunk: int, opened: Opener, alone: Any) -> None:
    tokens, expected = alone(name)
    assert_same(run_in_chunks(opened(name, threads=2), tokens, chunk), expected)


@st.composite
def trees(draw: st.DrawFn, vocab_size: int, most: int = 16) -> tuple[list[int], list[int]]:
    """Tokens and parents of a tree in one call; parents[i] < i. Chains, stars and everything between."""
    size = draw(st.integers(1, most))
    tokens = draw(st.lists(st.integers(0, vocab_size - 1), min_size=size, max_size=size))
    return tokens, [-1] + [draw(st.integers(0, i - 1)) for i in range(1, size)]


def path_to(node: int, parents: list[int]) -> list[int]:
    path = [node]
    while parents[path[0]] >= 0:
        path.insert(0, parents[path[0]])
    return path


class PathOracle:
    """Bits of the last row of a committed prefix and a path after it, run as a chain; remembers them."""

    def __init__(self, engine: Engine, prefix: list[int]) -> None:
        self._engine = engine
        engine.release(0)
        feed(engine, 0, prefix, chunk=160)
        self._known: dict[tuple[int, ...], np.ndarray] = {}

    def row(self, path: tuple[int, ...]) -> np.ndarray:
        if path not in self._known:
            outputs = verify(self._engine, chain(self._engine, 0, path))
            self._known |= {path[: i + 1]: outputs.row(i) for i in range(len(path))}
        return self._known[path]


@pytest.mark.parametrize("name", ["tiny", "f32", "head_dim_64"])
@pytest.mark.parametrize("length", BORDERS)
def test_rows_of_a_tree(name: str, length: int, opened: Opener, alone: Any) -> None:
    """A row of any tree has the bits of its root path decoded plainly, at any committed length."""
    tokens, _ = alone(name)
    oracle = PathOracle(opened(name, isa="generic"), tokens[:length])
    engine = opened(name, threads=2)
    engine.release(1)
    feed(engine, 1, tokens[:length])

    @settings(max_examples=8, deadline=None, derandomize=True, database=None)
    @given(trees(engine.info.vocab_size))
    def check(drawn: tuple[list[int], list[int]]) -> None:
        nodes, parents = drawn
        found = verify(engine, tree(engine, 1, nodes, parents))
        for node in range(len(nodes)):
            path = tuple(nodes[i] for i in path_to(node, parents))
            assert np.array_equal(found.row(node), oracle.row(path)), f"node {node}"

    check()
    engine.release(1)


def test_other_slots_in_the_call(opened: Opener, alone: Any) -> None:
    """A needle in slot 0 among rows of up to three neighbours: any slot order, lengths, chains and trees."""
    tokens, expected = alone("tiny")
    engine = opened("tiny", threads=2)
    rng = np.random.default_rng(23)
    for slot in range(SLOTS):
        engine.release(slot)
        feed(engine, slot, random_tokens(rng, engine, int(rng.integers(0, 140))) if slot else [])
    at = 0
    while at < LENGTH:
        width = int(rng.integers(1, 12))
        rows: list[Row] = []
        needle = []
        for slot in rng.permutation(SLOTS).tolist():
            if slot == 0:
                needle = chain(engine, 0, tokens[at : at + width], first=len(rows))
                first = len(rows)
                rows += needle
            elif rng.random() < 0.7:
                rows += random_tree(rng, engine, slot, first=len(rows))
        found = verify(engine, rows)
        for i in range(len(needle)):
            assert np.array_equal(found.row(first + i), expected.row(at + i)), f"position {at + i}"
        roots = [(row.slot, [i]) for i, row in enumerate(rows) if row.parent < 0 and row.slot]
        engine.commit([(0, range(first, first + len(needle))), *roots])
        at += width


def random_tokens(rng: np.random.Generator, engine: Engine, count: int) -> list[int]:
    return rng.integers(0, engine.info.vocab_size, count).tolist()


def random_tree(rng: np.random.Generator, engine: Engine, slot: int, first: int) -> list[Row]:
    size = int(rng.integers(1, 20))
    parents = [-1, *(int(rng.integers(0, i)) for i in range(1, size))]
    return tree(engine, slot, random_tokens(rng, engine, size), parents, first)


def test_outputs_do_not_depend_on_which_rows_want_them(opened: Opener, alone: Any) -> None:
    tokens, expected = alone("tiny")
    engine = opened("tiny", threads=2)
    rng = np.random.default_rng(5)
    for count in (1, 5, 16, 33):
        engine.release(0)
        for _ in range(4):
            logits, states = rng.random((2, count)) < 0.5
            taps = [[], [0], [1], [0, 1]][rng.integers(4)]
            rows = chain(engine, 0, tokens[:count])
            found = verify(engine, rows, wants_logits=logits.tolist(), wants_state=states.tolist(), taps=taps)
            for part, expected_part in (
                (found.logits, expected.logits[:count][logits]),
                (found.states, expected.states[:count][states]),
                (found.taps, expected.taps[:count][states][:, taps]),
            ):
                assert part.shape == expected_part.shape
                assert part.tobytes() == np.ascontiguousarray(expected_part).tobytes()


def test_a_slot_used_again_has_forgotten(opened: Opener, alone: Any) -> None:
    """Released, dropped or overwritten rows leave nothing behind."""
    tokens, expected = alone("tiny")
    engine = opened("tiny", threads=2)
    rng = np.random.default_rng(3)
    for filled in (1, 40, 200):
        feed(engine, 2, rng.integers(0, engine.info.vocab_size, filled).tolist())
        verify(engine, chain(engine, 2, [1, 2, 3]))
        engine.release(2)
        assert engine.length(2) == 0
        assert_same(run_in_chunks(engine, tokens[:150], 16, slot=2), Outputs(*(x[:150] for x in expected)))


def test_committed_tree_paths_continue_as_a_chain(opened: Opener, alone: Any) -> None:
    """Paths with gaps move together in the cache: what follows equals plain decoding of the same tokens."""
    tokens, expected = alone("tiny")
    engine = opened("tiny", threads=2)
    rng = np.random.default_rng(19)
    engine.release(3)
    at = 0
    while at < LENGTH:
        depth = min(int(rng.integers(1, 8)), LENGTH - at)
        size = depth + int(rng.integers(0, 16 - depth))
        spine = [0, *sorted((1 + rng.permutation(size - 1)[: depth - 1]).tolist())]
        parents = [-1, *(int(rng.integers(0, i)) for i in range(1, size))]
        nodes = rng.integers(0, engine.info.vocab_size, size).tolist()
        for i, node in enumerate(spine):
            nodes[node] = tokens[at + i]
            parents[node] = spine[i - 1] if i else -1
        found = verify(engine, tree(engine, 3, nodes, parents))
        for i, node in enumerate(spine):
            assert np.array_equal(found.row(node), expected.row(at + i)), f"position {at + i}"
        engine.commit([(3, spine)])
        at += depth
        assert engine.length(3) == at
