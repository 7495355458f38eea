"""A NaN in one token's embedding: it shows in the rows that see that token, and leaves with them.

Oracle: the same weights without the NaN. Only f32 and bf16 weights can hold one; the scales and minima of
quantised weights are checked on reading.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from decoding import Case, plain_text
from driving import Outputs, Row, chain, feed, tree, verify

from mtp_rt._core import Engine, Scheduler, available_isas
from mtp_rt.model_dir import read_model_dir
from tiny_model.store import write_llama
from tiny_model.variants import stored_values

POISON = 7  # the token whose embedding is NaN
NEXT = [3, 4, 5]


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The tiny model as f32 with its own output matrix: clean, and with a NaN in one embedding."""
    folder = tmp_path_factory.mktemp("bad_numbers")
    config = json.loads((tiny_model / "config.json").read_text()) | {"tie_word_embeddings": False}
    del config["mtp_rt"]
    weights = stored_values(read_model_dir(tiny_model))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].copy()
    for name in ("clean", "poisoned"):
        write_llama(folder / name, config, weights, layers="f32", lm_head="f32", rope_layout="interleaved")
        weights["model.embed_tokens.weight"][POISON, 50] = np.nan
    return str(folder / "clean"), str(folder / "poisoned")


@pytest.fixture(
    scope="module", params=[(isa, threads) for isa in available_isas() for threads in (1, 2)], ids=str
)
def engines(request: pytest.FixtureRequest, models: tuple[str, str]) -> tuple[Engine, Engine]:
    isa, threads = request.param
    clean, poisoned = (Engine(path, isa=isa, threads=threads, slots=2) for path in models)
    return clean, poisoned


def expected_next(clean: Engine, context: list[int]) -> Outputs:
    clean.release(0)
    feed(clean, 0, context)
    return verify(clean, chain(clean, 0, NEXT))


def assert_clean(found: Outputs, expected: Outputs, rows: range) -> None:
    for i, row in enumerate(rows):
        assert np.array_equal(found.row(row), expected.row(i))


@pytest.mark.parametrize("length", [0, 5, 130])
def test_nan_shows_in_its_own_path_only(length: int, engines: tuple[Engine, Engine]) -> None:
    """Rows before it, its siblings and another slot keep the clean bits; it and its descendants are NaN."""
    clean, poisoned = engines
    context = [i % 5 for i in range(length)]
    expected = expected_next(clean, context)
    for slot in (0, 1):
        poisoned.release(slot)
        feed(poisoned, slot, context)
    spoiled = tree(poisoned, 0, [3, POISON, 4, 5, 8], [-1, 0, 0, 2, 1])
    rows: list[Row] = [*spoiled, *chain(poisoned, 1, NEXT, first=len(spoiled))]
    found = verify(poisoned, rows)
    for row, i in ((0, 0), (2, 1), (3, 2), (5, 0), (6, 1), (7, 2)):
        assert np.array_equal(found.row(row), expected.row(i)), f"row {row}"
    for row in (1, 4):
        assert np.isnan(found.logits[row]).all()
        assert np.isnan(found.states[row]).any()


def test_dropped_rows_take_their_nan_along(engines: tuple[Engine, Engine]) -> None:
    clean, poisoned = engines
    expected = expected_next(clean, [1, 2])
    poisoned.release(0)
    feed(poisoned, 0, [1, 2])
    verify(poisoned, chain(poisoned, 0, [POISON] * 20))
    poisoned.commit([])
    assert_clean(verify(poisoned, chain(poisoned, 0, NEXT)), expected, range(3))


def test_a_released_slot_takes_its_nan_along(engines: tuple[Engine, Engine]) -> None:
    clean, poisoned = engines
    poisoned.release(0)
    feed(poisoned, 0, [POISON] * 150)
    poisoned.release(0)
    for context in ([], [1] * 3, [2] * 129):
        poisoned.release(0)
        feed(poisoned, 0, context)
        found = verify(poisoned, chain(poisoned, 0, NEXT))
        assert_clean(found, expected_next(clean, context), range(3))


def test_a_request_that_meets_nan_fails_alone(models: tuple[str, str]) -> None:
    """It ends with an error that says so; neighbours finish with the clean text; the next request runs."""
    good = Case([3, 4, 5, 6], {"temperature": 0.7, "seed": 1, "logit_bias": {POISON: -1e9}}, max_tokens=40)
    bad = Case([3, POISON, 5], {}, max_tokens=40)
    clean, poisoned = (Engine(path, threads=1, slots=3) for path in models)
    expected = plain_text(clean, good)
    scheduler = Scheduler(poisoned)
    asked = [good.request("lookup"), bad.request("lookup"), good.request(), bad.request(), good.request()]
    numbers = [scheduler.submit(request) for request in asked]
    texts: dict[int, list[int]] = {number: [] for number in numbers}
    ends: dict[int, str] = {}
    while scheduler.running or scheduler.waiting:
        for event in scheduler.run_once():
            texts[event.request] += event.tokens
            if event.finish_reason is not None:
                ends[event.request] = event.finish_reason
            assert (event.error is not None) == (event.finish_reason == "error")
            assert event.error is None or "NaN" in event.error
    assert [ends[number] for number in numbers] == ["length", "error", "length", "error", "length"]
    assert [texts[number] for number in numbers] == [expected, [], expected, [], expected]


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("gain", ["model.norm.weight", "model.layers.1.post_attention_layernorm.weight"])
def test_quantized_weights_do_not_hide_a_nan(gain: str, isa: str, tiny_model: Path, tmp_path: Path) -> None:
    """A NaN in one norm gain leaves no number in the logits: 8-bit activations keep it."""
    config = json.loads((tiny_model / "config.json").read_text())
    del config["mtp_rt"]
    weights = stored_values(read_model_dir(tiny_model))
    weights[gain] = weights[gain].copy()
    weights[gain][50] = np.nan
    write_llama(tmp_path / "nan", config, weights, layers="q4", lm_head="q8", rope_layout="interleaved")
    engine = Engine(str(tmp_path / "nan"), isa=isa, threads=1)
    assert np.isnan(verify(engine, chain(engine, 0, NEXT)).logits).all()
