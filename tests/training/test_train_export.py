"""Trained models in the native engine: drafts are those of PyTorch, for every preset that drafts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.small_models import TRUNK, make_model
from mtp_rt import _core
from mtp_rt.errors import UnsupportedError
from mtp_rt.model_dir import read_model_dir
from mtp_rt.models.head_by_head import TokenBatch
from mtp_rt.models.heads import PRESETS
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.training.pretrain.export import write_model
from mtp_rt.training.pretrain.sections import ExportConfig
from mtp_rt.training.pretrain.vocabulary import open_vocabulary

BYTES = open_vocabulary("bytes")
EXACT = ExportConfig("f32", "f32", "f32")
SHAPE = replace(TRUNK, vocab_size=257, eos=(256,))
TEXT = [int(token) for token in torch.randint(0, 256, (20,), generator=torch.Generator().manual_seed(2))]


@torch.no_grad()
def torch_drafts(model: MultiTokenModel, text: list[int]) -> list[int]:
    """Oracle: the tokens that heads guess behind a text, each fed with the guesses before it."""
    stream, place = list(text), len(text) - 2
    for draft in range(1, model.n):
        padded = torch.tensor(stream + [0] * model.n)
        length = len(text) - 1
        ahead = torch.stack([padded[i + 1 : i + 1 + length] for i in range(model.n)], dim=1)[None]
        batch = TokenBatch(padded[None, :length], ahead, torch.ones_like(ahead, dtype=torch.bool))
        _, start = model.begin(batch.tokens_BT)
        made = [start]
        for step in range(1, draft + 1):
            made = model.step(step, made if model.chained else [start], batch.ahead_BTN)
        stream.append(int((model.unembedding_of(draft) @ made[0][0, place]).argmax()))
    return stream[len(text) :]


def native_drafts(model_dir: Path, text: list[int]) -> list[int]:
    engine = _core.Engine(str(model_dir), slots=1, max_rows=32, threads=1)
    count = len(text) - 1
    rows = list(range(count))
    engine.verify([0] * count, text[:-1], rows, [row - 1 for row in rows], [False] * count)
    engine.commit([(0, rows)])
    drafted, _ = engine.draft([0], text[-1:], [engine.info.extra_heads], [1], [_core.SamplingParams()])
    return [int(token) for token in drafted]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    ("preset", "own"),
    [(name, own) for name, preset in PRESETS.items() for own in (False, True) if not (own and preset.shared)],
)
def test_drafts_are_those_of_the_trained_heads(preset: str, own: bool, tied: bool, tmp_path: Path) -> None:
    model = make_model(preset, 4, replace(SHAPE, tied_embedding=tied), own_unembedding=own)
    with torch.no_grad():
        model.embedding.normal_(std=0.5)
    write_model(model, BYTES, tmp_path / "model", EXACT)
    assert native_drafts(tmp_path / "model", TEXT) == torch_drafts(model, TEXT)


def test_of_many_heads_the_first_fifteen_are_stored(tmp_path: Path) -> None:
    model = make_model("medusa", 32, SHAPE)
    write_model(model, BYTES, tmp_path / "model", EXACT, acceptance=(0.5,) * 15)
    heads = read_model_dir(tmp_path / "model").config.extra_heads
    assert heads is not None and heads.count == 15
    assert native_drafts(tmp_path / "model", TEXT) == torch_drafts(model, TEXT)[:15]


def test_what_cannot_be_stored_is_not_written(tmp_path: Path) -> None:
    model = make_model("anticausal", 3, SHAPE)
    with pytest.raises(UnsupportedError, match="trains and evaluates only: an anticausal chain"):
        write_model(model, BYTES, tmp_path / "model", EXACT)
