"""A slot's drafts depend on its own committed text alone. The oracle is the engine itself in other company:
other instruction sets, threads, chunks, neighbours, depths, and a slot or engine that is new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from drafting import GREEDY, NEXT, TEXT, WARM, Drafts, Model, draft, ready
from driving import bits, chain, feed, tree, verify

from mtp_rt._core import Engine, SamplingParams, available_isas
from mtp_rt.errors import ArgumentError

PRESETS = [
    "recurrent",
    "tapped",
    "hydra",
    "medusa",
    "gloeckle-linear",
    "fastmtp",
    "deepseek",
    "eagle3",
    "gloeckle",
    "causal",
    "medusa-own",
    "causal-own",
]
presets = pytest.mark.parametrize("preset", PRESETS)


@presets
@pytest.mark.parametrize("params", [GREEDY, WARM], ids=["greedy", "warm"])
def test_instruction_sets_and_threads(preset: str, params: Mapping[str, Any], tiny_with_heads: Model) -> None:
    path = tiny_with_heads(preset)
    first = draft(ready(path, threads=1), width=3, params=params)
    for isa in available_isas():
        for threads in (1, 2, 3):
            assert first.same(draft(ready(path, isa=isa, threads=threads), width=3, params=params))


@presets
def test_neighbours_order_and_depth_change_nothing(preset: str, tiny_with_heads: Model) -> None:
    path = tiny_with_heads(preset)
    engine = Engine(str(path), threads=2, context=128, slots=5)
    texts = [TEXT, TEXT[5:], TEXT[::-1], TEXT[:1], TEXT[3:9]]
    params = [GREEDY, WARM, {"temperature": 1.0, "seed": 5, "top_p": 0.8}, WARM, GREEDY]
    for slot, text in enumerate(texts):
        feed(engine, slot, text)
    alone = [draft(engine, slot=slot, width=2, params=params[slot]) for slot in range(5)]
    depths = engine.info.extra_heads
    for order, counts, widths in (
        ([0, 1, 2, 3, 4], [depths] * 5, [2] * 5),
        ([4, 2, 0], [1, depths, 2], [1, 2, 8]),
        ([3, 1], [2, depths], [8, 1]),
    ):
        tokens, chances = engine.draft(
            order, [NEXT] * len(order), counts, widths, [SamplingParams(**params[s]) for s in order]
        )
        at = 0
        for slot, count, width in zip(order, counts, widths, strict=True):
            size = count * width
            shape = (count, width)
            got = Drafts(tokens[at : at + size].reshape(shape), chances[at : at + size].reshape(shape))
            at += size
            least = min(width, 2)
            expected = Drafts(alone[slot].tokens[:count, :least], alone[slot].chances[:count, :least])
            assert expected.same(Drafts(got.tokens[:, :least], got.chances[:, :least]))
        assert at == len(tokens)


@presets
@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_chunks_do_not_matter(preset: str, chunk: int, tiny_with_heads: Model) -> None:
    path = tiny_with_heads(preset)
    engine = Engine(str(path), threads=2, context=128)
    feed(engine, 0, TEXT, chunk=chunk)
    assert draft(engine, width=2).same(draft(ready(path), width=2))


LONG = [(7 * place * place + 31 * place) % 509 for place in range(170)]
ATTENDING = ["fastmtp", "deepseek", "eagle3", "gloeckle", "causal"]


@pytest.fixture(scope="module")
def long_drafts(tiny_with_heads: Model) -> Callable[[str], Drafts]:
    """Return a function: preset -> its drafts behind LONG, committed 64 rows a call, or `window` with it."""
    drafts: dict[str, Drafts] = {}

    def get(preset: str, **changes: int) -> Drafts:
        key = f"{preset}{changes}"
        if key not in drafts:
            drafts[key] = draft(
                ready(tiny_with_heads(preset, **changes), LONG, context=256, threads=1), width=2
            )
        return drafts[key]

    return get


@pytest.mark.parametrize("preset", ATTENDING)
@pytest.mark.parametrize("chunk", [1, 5, 128])
def test_long_texts_in_chunks(
    preset: str, chunk: int, tiny_with_heads: Model, long_drafts: Callable[[str], Drafts]
) -> None:
    engine = ready(tiny_with_heads(preset), LONG, context=256, threads=1, chunk=chunk)
    assert draft(engine, width=2).same(long_drafts(preset))


@pytest.mark.parametrize("preset", ATTENDING)
@pytest.mark.parametrize("window", [None, 40])
def test_drafting_on_the_way_changes_nothing(
    preset: str, window: int | None, tiny_with_heads: Model, long_drafts: Callable[..., Drafts]
) -> None:
    """Rounds of drafts of varying depth, rejected rows and false last tokens between the commits."""
    changes = {} if window is None else {"window": window}
    engine = Engine(str(tiny_with_heads(preset, **changes)), threads=1, context=256)
    rng = np.random.default_rng(4)
    while engine.length(0) < len(LONG):
        at = engine.length(0)
        kept = min(int(rng.integers(1, 6)), len(LONG) - at)
        verify(engine, chain(engine, 0, [*LONG[at : at + kept], 3, 4][: len(LONG) + 2 - at]))
        engine.commit([(0, range(kept))])
        if rng.random() < 0.7:
            draft(engine, int(rng.integers(512)), count=int(rng.integers(1, engine.info.extra_heads + 1)))
    assert draft(engine, width=2).same(long_drafts(preset, **changes))


@presets
def test_a_partly_kept_call_drafts_from_its_last_kept_row(preset: str, tiny_with_heads: Model) -> None:
    path = tiny_with_heads(preset)
    engine = ready(path)
    verify(engine, chain(engine, 0, [17, 300, 4, 9]))
    engine.commit([(0, [0, 1])])
    assert draft(engine).same(draft(ready(path, [*TEXT, 17, 300])))


@presets
def test_a_kept_path_of_a_tree_drafts_from_its_end(preset: str, tiny_with_heads: Model) -> None:
    path = tiny_with_heads(preset)
    engine = ready(path)
    verify(engine, tree(engine, 0, [17, 1, 2, 300, 4, 5], [-1, 0, 0, 2, 1, 3]))
    engine.commit([(0, [0, 2, 3])])
    assert draft(engine).same(draft(ready(path, [*TEXT, 17, 2, 300])))
    feed(engine, 0, [44, 45])
    assert draft(engine).same(draft(ready(path, [*TEXT, 17, 2, 300, 44, 45])))


@presets
def test_nothing_kept_changes_nothing(preset: str, tiny_with_heads: Model) -> None:
    engine = ready(tiny_with_heads(preset))
    before = draft(engine)
    verify(engine, chain(engine, 0, [17, 300]))
    assert before.same(draft(engine))
    engine.commit([(0, [])])
    assert before.same(draft(engine))
    verify(engine, chain(engine, 0, [5]))
    engine.commit([])
    assert before.same(draft(engine))


@presets
def test_a_slot_used_again_has_forgotten(preset: str, tiny_with_heads: Model) -> None:
    path = tiny_with_heads(preset)
    engine = Engine(str(path), threads=2, context=128, slots=2)
    feed(engine, 1, TEXT[::-1])
    draft(engine, slot=1)
    engine.release(1)
    with pytest.raises(ArgumentError, match="committed positions"):
        draft(engine, slot=1)
    feed(engine, 1, TEXT)
    assert draft(engine, slot=1).same(draft(ready(path)))


@presets
def test_drafting_changes_no_logit(preset: str, tiny_with_heads: Model) -> None:
    path = tiny_with_heads(preset)
    engine, other = ready(path), ready(path)
    for token in (17, 300, 4):
        draft(engine, token, width=3, params=WARM)
        rows = chain(engine, 0, [token, 9])
        assert np.array_equal(
            bits(verify(engine, rows).logits), bits(verify(other, chain(other, 0, [token, 9])).logits)
        )
        for each in (engine, other):
            each.commit([(0, [0])])


def test_more_slots_than_rows_at_once(tiny_with_heads: Model) -> None:
    engine = Engine(str(tiny_with_heads("recurrent")), threads=2, context=32, slots=70)
    for slot in range(70):
        feed(engine, slot, [slot + 1, 2 * slot + 5])
    together, _ = engine.draft(range(70), [9] * 70, [2] * 70, [1] * 70, [SamplingParams()] * 70)
    alone = [draft(engine, 9, slot=slot, count=2).tokens[:, 0] for slot in range(70)]
    assert np.array_equal(together.reshape(70, 2), alone)
