"""The two-stage head against its definition in numpy, and against the full head.

Definition: with q = 16 h + l (0 <= l <= 15) an output entry's coarse score takes l for 7.5. Entries whose
coarse score lies within the margin of the row's best are exact; the others keep their coarse score.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from driving import Outputs, chain, run_alone, verify
from numpy.typing import NDArray

from mtp_rt._core import Engine, available_isas
from mtp_rt.model_dir import output_matrix, read_model_dir

TOKENS = 120
EDGE = 1e-3  # logits; entries this near the margin may fall on either side in other arithmetic


def coarse_scores(model_path: Path, states: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return float64 [rows, vocab]: the definition, with 8-bit states per block of 32."""
    model = read_model_dir(model_path)
    name = output_matrix(model.config)
    codes = np.frombuffer(model.tensor(f"{name}.q8"), np.int8).reshape(model.tensors[f"{name}.q8"].shape)
    scale = np.frombuffer(model.tensor(f"{name}.scale"), np.float16).reshape(len(codes), -1, 1)
    middle = np.floor(codes / 16.0) * 16 + 7.5
    weights = (middle.reshape(len(codes), -1, 32) * scale.astype(np.float64)).reshape(codes.shape)
    blocks = states.astype(np.float64).reshape(len(states), -1, 32)
    step = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    return (np.rint(blocks / step) * step).reshape(states.shape) @ weights.T


def run(path: Path, *, two_stage_head: bool, isa: str = "", threads: int = 1) -> Outputs:
    engine = Engine(str(path), two_stage_head=two_stage_head, isa=isa, threads=threads, max_rows=TOKENS)
    tokens = np.random.default_rng(4).integers(0, engine.info.vocab_size, TOKENS).tolist()
    return verify(engine, chain(engine, 0, tokens))


@pytest.fixture(params=["tiny", "odd_vocabulary", "untied", "narrow"])
def path(request: pytest.FixtureRequest, tiny_model: Path, variant: Callable[[str], Path]) -> Path:
    return tiny_model if request.param == "tiny" else variant(request.param)


@pytest.mark.parametrize("isa", available_isas())
def test_entries_are_exact_or_coarse_as_defined(isa: str, path: Path) -> None:
    two, full = (run(path, two_stage_head=on, isa=isa) for on in (True, False))
    assert np.array_equal(two.states, full.states)
    coarse = coarse_scores(path, full.states)
    margin = read_model_dir(path).config.two_stage_margin
    assert margin == 3.0
    distance = coarse.max(axis=-1, keepdims=True) - coarse
    exact = distance <= margin - EDGE
    left_coarse = distance >= margin + EDGE
    assert exact.sum() + left_coarse.sum() >= 0.99 * exact.size
    assert 0.001 < exact.mean() < 0.5  # both kinds occur
    assert np.array_equal(two.logits[exact], full.logits[exact])
    # A state on the edge between two 8-bit steps moves every score of its row a little.
    error = np.abs(two.logits - coarse) * left_coarse
    assert np.median(error.max(axis=-1)) < 1e-4
    assert error.max() < 0.1
    assert np.abs(two.logits - full.logits)[left_coarse].max() > 0.01


def test_the_model_directory_decides_unless_told_otherwise(tiny_model: Path, tmp_path: Path) -> None:
    tokens = [1, 2, 3]
    on, off = (
        run_alone(Engine(str(tiny_model), threads=1, two_stage_head=head), tokens).logits
        for head in (True, False)
    )
    assert not np.array_equal(on, off)
    assert np.array_equal(run_alone(Engine(str(tiny_model), threads=1), tokens).logits, on)
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    config["mtp_rt"]["two_stage_head"] = None
    (copy / "config.json").write_text(json.dumps(config))
    assert np.array_equal(run_alone(Engine(str(copy), threads=1), tokens).logits, off)


def test_it_reads_fewer_bytes(tiny_model: Path) -> None:
    """The low halves of the output matrix, [512, 96] of 4 bits, are not read by a plain step."""
    two, full = (
        Engine(str(tiny_model), threads=1, two_stage_head=on).info.weight_bytes for on in (True, False)
    )
    assert full - two == 512 * 96 // 2


def test_greedy_text_is_the_full_heads(tiny_model: Path) -> None:
    """On the tiny model, over 8 greedy continuations of 100 tokens (a fact about the margin, not a law)."""
    engines = [Engine(str(tiny_model), threads=1, two_stage_head=on) for on in (True, False)]
    for start in range(8):
        texts = []
        for engine in engines:
            engine.release(0)
            text = [start * 30 + 3]
            for _ in range(100):
                logits = verify(engine, chain(engine, 0, text[-1:])).logits
                engine.commit([(0, [0])])
                text.append(int(logits[0].argmax()))
            texts.append(text)
        assert texts[0] == texts[1]
