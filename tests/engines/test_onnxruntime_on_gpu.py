"""The onnxruntime engine on a GPU: states, caches and trees as in the native engine, few texts that part.

Oracle: the native engine on the same model in f32, and the engine's own plain decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance import DRAFTING, cases, check_against_plain
from drafting import TEXT
from driving import chain, feed, tree, verify

from mtp_rt._core import Engine
from mtp_rt.engines import open_engine
from mtp_rt.errors import UnsupportedError

pytest.importorskip("onnxruntime")
pytestmark = [pytest.mark.gpu, pytest.mark.slow]

# Sums of float32 in another order; a wrong row or mask changes logits by more than 0.1.
TOLERANCE = 1e-3
Models = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(exported: Callable[[Path], Path], exported_f32_heads: Models) -> Path:
    return exported(exported_f32_heads("fastmtp"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    try:
        return open_engine(folder, "onnxruntime", provider="cuda", isa=None, threads=1, slots=4)
    except UnsupportedError as error:
        pytest.skip(str(error))


def test_states_and_caches_are_those_of_the_native_engine(engine: Engine, folder: Path) -> None:
    """A text across every growth, then trees of which every kind of path is kept."""
    native = Engine(str(folder), threads=1, slots=4)
    both = (engine, native)

    def agree(rows_of: Callable[[Engine], Any]) -> None:
        got, want = (verify(each, rows_of(each), taps=[]) for each in both)
        np.testing.assert_allclose(got.logits, want.logits, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(got.states, want.states, rtol=0, atol=TOLERANCE)

    for each in both:
        feed(each, 0, (TEXT * 20)[:200])
    parents = [-1, 0, 0, 1, 2, 2, 5]
    for kept in ([0, 2, 5, 6], [0, 1, 3], [0, 2, 4], [0]):
        agree(lambda each: tree(each, 0, [9, 8, 7, 6, 5, 4, 3], parents))
        for each in both:
            each.commit([(0, kept)])
    agree(lambda each: chain(each, 0, [1, 2, 3]))


@pytest.mark.parametrize("drafting", DRAFTING)
def test_drafts_change_few_tokens(
    drafting: str, engine: Engine, tiny_model: Path, record_property: Any
) -> None:
    chosen = list(cases(tiny_model, seeds=2, temperatures=[0.7, 1.5], max_tokens=48))
    check_against_plain(engine, chosen, drafting, record_property)
