"""The same text on the real model: 16 prompts of 64 tokens, plain against drafts of four widths.

Oracle: the plain loop of decoding.py on one thread. The gate-size run is benchmarks/equality.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance import Verdict
from decoding import Case, decode, plain_text
from driving import chain, feed, verify
from real_prompts import prompt_ids

from mtp_rt._core import Engine

pytestmark = [pytest.mark.model, pytest.mark.slow]
SAMPLED = {"temperature": 0.8, "top_p": 0.95, "repetition_penalty": 1.1}


@pytest.fixture(scope="module")
def engine(real_model: Path) -> Engine:
    return Engine(str(real_model), slots=8, context=512, max_rows=128)


@pytest.mark.parametrize("sampling", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_drafts_change_no_token(
    sampling: dict[str, Any], engine: Engine, real_model: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each kind of drafts, eight requests at a time, against texts decoded alone."""
    cases = [Case(ids, {**sampling, "seed": i}, 64) for i, ids in enumerate(prompt_ids(real_model))]
    texts = {i: plain_text(engine, case) for i, case in enumerate(cases)}
    verdict = Verdict()
    kinds = {
        "lookup 1": lambda i, case: case.request("lookup", 1),
        "lookup 4": lambda i, case: case.request("lookup", 4),
        "chain of 2": lambda i, case: case.scripted(texts[i], 0.7, 2, tree=False, seed=i),
        "tree of 7": lambda i, case: case.scripted(texts[i], 0.7, 7, tree=True, seed=i),
    }
    for how, request in kinds.items():
        found = decode(engine, [request(i, case) for i, case in enumerate(cases)])
        for i, case in enumerate(cases):
            verdict.compare(case, found[i], texts[i], how)
    verdict.settle(engine, lambda case: texts[cases.index(case)], record_property)


def test_rows_have_the_same_bits_at_every_width(engine: Engine, real_model: Path) -> None:
    """64 rows after 100 tokens: alone, in chains of 2 to 16, and in one call."""
    tokens = [token for ids in prompt_ids(real_model) for token in ids][:164]
    engine.release(0)
    feed(engine, 0, tokens[:100])
    whole = verify(engine, chain(engine, 0, tokens[100:]))
    for width in (1, 2, 3, 5, 8, 16):
        engine.release(0)
        feed(engine, 0, tokens[:100])
        for at in range(0, 64, width):
            rows = chain(engine, 0, tokens[100 + at : min(100 + at + width, 164)])
            found = verify(engine, rows)
            engine.commit([(0, range(len(rows)))])
            for i in range(len(rows)):
                assert np.array_equal(found.row(i), whole.row(at + i)), f"width {width}, row {at + i}"
    engine.release(0)
