"""The native engine's drafts held to the float64 reference of extra heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from drafting import NEXT, TEXT, draft
from driving import feed, run_alone

from mtp_rt._core import Engine
from reference_heads import HeadsReference

TOP = 8


def check_against_reference(
    path: Path, *, tolerance: float, chunk: int = 64, text: Sequence[int] = TEXT
) -> None:
    """The engine's candidates are the reference's best, with its chances."""
    engine = Engine(str(path), threads=1, context=256, two_stage_head=False)
    trunk = run_alone(engine, text)
    feed(engine, 0, text, chunk)
    reference = HeadsReference(path, simulate=True)
    drafts = draft(engine, width=TOP)
    scores = reference.scores(
        [*text, NEXT],
        drafts.tokens[:, 0].tolist(),
        torch.from_numpy(trunk.states),
        torch.from_numpy(trunk.taps),
    )
    chances = scores.softmax(dim=-1)
    entries = {reference.token(entry): entry for entry in range(scores.shape[1])}
    for k, (tokens, own) in enumerate(zip(drafts.tokens, drafts.chances, strict=True)):
        chosen = [entries[token] for token in tokens.tolist()]
        assert len(set(chosen)) == TOP
        expected = chances[k, chosen].numpy()
        np.testing.assert_allclose(own, expected, rtol=tolerance, atol=1e-7)
        others = scores[k].clone()
        others[chosen] = -torch.inf
        assert scores[k, chosen].min() >= others.max() - tolerance
        assert (np.diff(expected) <= tolerance * expected[1:]).all()
