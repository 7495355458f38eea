"""Bad arguments: a typed error that names the argument, and an engine that is as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import chain, feed, verify

from mtp_rt._core import (
    ArgumentError,
    CapacityError,
    Engine,
    ModelFormatError,
    UnsupportedError,
    available_isas,
)

PROMPT = [5, 6, 7, 8]


@pytest.fixture
def engine(tiny_model: Path) -> Engine:
    """Two slots of context 8, at most 6 rows a call; slot 0 holds PROMPT and has two rows to commit."""
    engine = Engine(str(tiny_model), threads=1, slots=2, max_rows=6, context=8)
    verify(engine, chain(engine, 0, PROMPT))
    engine.commit([(0, range(4))])
    verify(engine, chain(engine, 0, [9, 10]))
    return engine


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"threads": -1}, "threads is -1"),
        ({"threads": 1_000_000}, "threads is 1000000"),
        ({"slots": 0}, "slots is 0"),
        ({"slots": 1 << 20}, "slots is 1048576"),
        ({"context": -5}, "context is -5"),
        ({"context": 1025}, "context is 1025; expected 1 .. 1024"),
        ({"max_rows": 0}, "max_rows is 0"),
        ({"engine": "abacus"}, "engine 'abacus' is unknown; known: native"),
        ({"isa": "sse9"}, "isa 'sse9' is unknown; known: avx512_vnni, avx2, generic"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], named: str, tiny_model: Path) -> None:
    with pytest.raises(ArgumentError, match=named):
        Engine(str(tiny_model), **options)


def test_an_isa_that_the_cpu_lacks(tiny_model: Path) -> None:
    for isa in {"avx512_vnni", "avx2"} - set(available_isas()):
        with pytest.raises(UnsupportedError, match=isa):
            Engine(str(tiny_model), isa=isa)


@pytest.mark.parametrize("isa", [*available_isas(), "sse9"])
def test_the_environment_forces_an_isa(isa: str, tiny_model: Path) -> None:
    """In a process of its own: MTP_RT_ISA is obeyed or refused, never ignored."""
    script = "import sys; from mtp_rt._core import Engine; print(Engine(sys.argv[1], threads=1).info.isa)"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny_model)],
        env={**os.environ, "MTP_RT_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
    )
    if isa == "sse9":
        assert done.returncode == 1
        assert "ArgumentError: MTP_RT_ISA 'sse9' is unknown" in done.stderr
    else:
        assert done.stdout.strip() == isa


def test_a_path_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="no-model"):
        Engine(str(tmp_path / "no-model"))


# slots, tokens, positions, parents of a call on top of PROMPT in slot 0, and what the message names
BAD_ROWS = [
    (([2], [1], [0], [-1]), "slot is 2; expected 0 .. 1"),
    (([-1], [1], [0], [-1]), "slot is -1"),
    (([0], [512], [4], [-1]), "token is 512; expected 0 .. 511"),
    (([0], [-1], [4], [-1]), "token is -1"),
    (([0], [1], [5], [-1]), "position is 5; expected 4"),
    (([0], [1], [3], [-1]), "position is 3; expected 4"),
    (([0, 0], [1, 1], [4, 4], [-1, 0]), r"rows\[1\].position is 4; expected 5"),
    (([0, 0], [1, 1], [4, 5], [-1, 1]), r"rows\[1\].parent is 1"),
    (([0, 0], [1, 1], [4, 4], [-1, -1]), r"rows\[1\].parent is -1"),
    (([0], [1], [4], [0]), "parent is 0"),
    (([0, 1], [1, 1], [4, 5], [-1, 0]), r"rows\[1\].parent is 0"),
    (([0, 1, 1], [1, 1, 1], [4, 0, 5], [-1, -1, 0]), r"rows\[2\].parent is 0"),
    (([0, 1, 0], [1, 1, 1], [4, 0, 5], [-1, -1, 0]), r"rows\[2\].slot is 0"),
]


def assert_unchanged(engine: Engine) -> None:
    """Slot 0 still holds PROMPT, slot 1 nothing; the rows of the last good call can still be committed."""
    assert [engine.length(0), engine.length(1)] == [4, 0]
    engine.commit([(0, [0, 1])])
    found = verify(engine, chain(engine, 0, [11]))
    engine.release(0)
    feed(engine, 0, [*PROMPT, 9, 10], chunk=6)
    expected = verify(engine, chain(engine, 0, [11]))
    assert np.array_equal(found.row(0), expected.row(0))


@pytest.mark.parametrize(("columns", "named"), BAD_ROWS)
def test_malformed_rows(columns: tuple[list[int], ...], named: str, engine: Engine) -> None:
    with pytest.raises(ArgumentError, match=named):
        engine.verify(*columns, [True] * len(columns[0]))
    assert_unchanged(engine)


def test_too_many_rows(engine: Engine) -> None:
    with pytest.raises(CapacityError, match=r"7 rows; .* 6 \(max_rows\)"):
        verify(engine, chain(engine, 1, [1] * 7))
    assert_unchanged(engine)


def test_context_overflow(engine: Engine) -> None:
    with pytest.raises(CapacityError, match="position is 8; the context holds 8"):
        verify(engine, chain(engine, 0, [1] * 5))
    assert_unchanged(engine)


def test_the_last_position_is_usable(engine: Engine) -> None:
    verify(engine, chain(engine, 0, [1] * 4))
    engine.commit([(0, range(4))])
    assert engine.length(0) == 8
    with pytest.raises(CapacityError, match="context"):
        verify(engine, chain(engine, 0, [1]))


@pytest.mark.parametrize(
    ("taps", "named"),
    [
        ([2], "taps is 2; expected 0 .. 1"),
        ([-1], "taps is -1"),
        ([0, 0], "must ascend; 0 comes after 0"),
        ([1, 0], "must ascend; 0 comes after 1"),
    ],
)
def test_taps(taps: list[int], named: str, engine: Engine) -> None:
    with pytest.raises(ArgumentError, match=named):
        verify(engine, chain(engine, 0, [1]), taps=taps)
    assert_unchanged(engine)


def test_columns_of_unequal_length(engine: Engine) -> None:
    for short in range(5):
        columns = [[0, 0], [1, 1], [4, 5], [-1, 0], [True, True]]
        columns[short] = columns[short][:1]
        with pytest.raises(ArgumentError, match="same length"):
            engine.verify(*columns)
    with pytest.raises(ArgumentError, match="same length"):
        engine.verify([0], [1], [4], [-1], [True], [True, True])
    assert_unchanged(engine)


@pytest.mark.parametrize(
    ("kept", "named"),
    [
        ([(0, [1])], "row 1 does not follow row -1 in slot 0"),
        ([(0, [0, 2])], "row 2 does not follow row 0"),
        ([(0, [0, 0])], "row 0 does not follow row 0"),
        ([(0, [-1])], "row -1"),
        ([(1, [0])], "slot 1 has no rows"),
        ([(7, [0])], "slot 7"),
        ([(0, [0]), (0, [0])], "slot 0 is named twice"),
        ([(0, [0]), (1, [0])], "slot 1 has no rows"),
    ],
)
def test_commits_of_what_was_not_verified(
    kept: list[tuple[int, list[int]]], named: str, engine: Engine
) -> None:
    with pytest.raises(ArgumentError, match=named):
        engine.commit(kept)
    assert_unchanged(engine)


def test_a_commit_uses_up_its_verify_call(engine: Engine) -> None:
    engine.commit([(0, [0])])
    with pytest.raises(ArgumentError, match="no rows in the last verify call"):
        engine.commit([(0, [1])])
    assert engine.length(0) == 5


@pytest.mark.parametrize("method", ["length", "release"])
@pytest.mark.parametrize("slot", [-1, 2])
def test_slots_out_of_range(method: str, slot: int, engine: Engine) -> None:
    with pytest.raises(ArgumentError, match=f"slot is {slot}"):
        getattr(engine, method)(slot)
    assert_unchanged(engine)


def test_an_empty_call_is_no_error(engine: Engine) -> None:
    logits, states, taps = engine.verify([], [], [], [], [])
    assert (logits.shape, states.shape, taps.shape) == ((0, 512), (0, 96), (0, 0, 96))
