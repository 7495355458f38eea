"""The onnxruntime engine adds nothing to what its graphs compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conformance import DEVICE_CACHES, open_engine
from drafting import TEXT
from driving import bits, chain, verify

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("name", "graph"), [("onnxruntime", "verify.single.onnx"), (DEVICE_CACHES, "verify.onnx")]
)
def test_a_run_has_the_bits_of_plain_onnxruntime(
    name: str, graph: str, tiny_model: Path, exported: Callable[[Path], Path]
) -> None:
    from onnx_models import Runner

    engine = open_engine(name, tiny_model, exported, threads=1)
    plain = Runner(exported(tiny_model) / graph, capacity=64)
    for start in range(0, len(TEXT), 7):
        part = TEXT[start : start + 7]
        got = verify(engine, chain(engine, 0, part), taps=[])
        engine.commit([(0, range(len(part)))])
        want = plain.chain([part], [start])
        assert np.array_equal(bits(got.logits), bits(want["logits"][0]))
        assert np.array_equal(bits(got.states), bits(want["state"][0]))
