"""The same text: what a request gives does not depend on how it was decoded.

Oracle: `plain_text`, a loop of one row a call and pick(), which shares nothing with the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conformance import DRAFTING, ENGINES, FAST_ENGINES, Verdict, cases, check, open_engine, prompts
from crowd import decode_among
from decoding import Case, decode, plain_text

from mtp_rt._core import Engine, available_isas

Report = Callable[[str, object], None]
SLOTS = 16
on_fast_engines = pytest.mark.parametrize("opened", FAST_ENGINES, indirect=True)


@pytest.fixture(scope="module", params=ENGINES)
def opened(
    request: pytest.FixtureRequest, tiny_model: Path, exported: Callable[[Path], Path]
) -> Callable[..., Engine]:
    @cache
    def get(**options: Any) -> Engine:
        return open_engine(request.param, tiny_model, exported, **({"threads": 1, "slots": SLOTS} | options))

    return get


@pytest.fixture(scope="module")
def text_of(opened: Callable[..., Engine]) -> Callable[[Case], list[int]]:
    """Return a function: case -> its plain text."""
    known: dict[str, list[int]] = {}

    def get(case: Case) -> list[int]:
        key = repr(case)
        if key not in known:
            known[key] = plain_text(opened(), case)
        return known[key]

    return get


@pytest.fixture(scope="module")
def few_cases(tiny_model: Path) -> list[Case]:
    return list(cases(tiny_model, seeds=2, temperatures=[0.7, 1.5], max_tokens=48))


@pytest.fixture(scope="module")
def all_cases(tiny_model: Path) -> list[Case]:
    return list(cases(tiny_model, seeds=8, temperatures=[0.3, 0.7, 1.0, 1.5], max_tokens=96, stop=()))


def test_the_scheduler_gives_the_plain_text(
    opened: Any, few_cases: list[Case], text_of: Any, record_property: Report
) -> None:
    verdict = Verdict()
    for case in few_cases:
        (found,) = decode(opened(), [case.request()])
        verdict.compare(case, found, text_of(case), "alone")
    verdict.settle(opened(), text_of, record_property)


@pytest.mark.parametrize("drafting", DRAFTING)
def test_drafts_change_no_token(
    drafting: str, opened: Any, few_cases: list[Case], text_of: Any, record_property: Report
) -> None:
    check(opened(), few_cases, drafting, text_of, record_property)


@pytest.mark.slow
@on_fast_engines
@pytest.mark.parametrize("drafting", DRAFTING)
def test_drafts_change_no_token_of_many(
    drafting: str, opened: Any, all_cases: list[Case], text_of: Any, record_property: Report
) -> None:
    """All drafts together compare more than 200,000 tokens."""
    verdict = check(opened(), all_cases, drafting, text_of, record_property)
    assert verdict.tokens * len(DRAFTING) > 200_000


@pytest.mark.parametrize("chunk", [1, 2, 7, 16, 64, 128])
def test_prefill_chunks(
    chunk: int, opened: Any, few_cases: list[Case], text_of: Any, record_property: Report
) -> None:
    check(opened(), few_cases, "lookup 4", text_of, record_property, prefill_chunk=chunk)


@pytest.mark.parametrize(
    "forced", [(isa, threads) for isa in available_isas() for threads in (1, 2)], ids=str
)
def test_instruction_sets_and_threads(
    forced: tuple[str, int], opened: Any, few_cases: list[Case], text_of: Any, record_property: Report
) -> None:
    """Plain texts were decoded by the best instruction set on one thread."""
    isa, threads = forced
    if not opened().info.isa:
        pytest.skip(f"{opened().info.name} chooses its own kernels")
    for drafting in ("lookup 7", "tree 80 %"):
        check(opened(isa=isa, threads=threads), few_cases, drafting, text_of, record_property)


def needles(trials: int, opened: Any, tiny_model: Path, text_of: Any, report: Report) -> None:
    engine, ids = opened(), prompts(tiny_model)
    chosen = list(cases(tiny_model, seeds=4, temperatures=[0.3, 1.0], max_tokens=32))
    names = list(DRAFTING)
    verdict = Verdict()
    for trial in range(trials):
        case = chosen[trial % len(chosen)]
        request = DRAFTING[names[trial % len(names)]](case, text_of(case), trial)
        found = decode_among(engine, request, 2 + trial % (SLOTS - 1), trial, ids)
        verdict.compare(case, found, text_of(case), f"trial {trial}")
    verdict.settle(engine, text_of, report)


def test_a_request_in_a_crowd(opened: Any, tiny_model: Path, text_of: Any, record_property: Report) -> None:
    """Batches of 2 to 16 with random neighbours that come, go and are cancelled."""
    needles(40, opened, tiny_model, text_of, record_property)


@pytest.mark.slow
@on_fast_engines
def test_500_requests_in_a_crowd(
    opened: Any, tiny_model: Path, text_of: Any, record_property: Report
) -> None:
    needles(500, opened, tiny_model, text_of, record_property)


@pytest.mark.slow
@on_fast_engines
def test_one_greedy_request_has_one_text(opened: Any, tiny_model: Path, text_of: Any) -> None:
    """100 times the same 256 tokens under random load."""
    engine, ids = opened(), prompts(tiny_model)
    if not engine.info.row_invariant:
        pytest.skip(f"{engine.info.name} does not promise row invariance")
    case = Case(ids[0], {}, max_tokens=256)
    texts = {tuple(decode_among(engine, case.request("auto", 7), 2 + i % 7, i, ids)) for i in range(100)}
    assert texts == {tuple(text_of(case))}


@pytest.mark.parametrize("drafting", ["chain 100 %", "tree 100 %", "lookup 7"])
def test_ends_are_exact_in_the_middle_of_a_commit(
    drafting: str, opened: Any, tiny_model: Path, text_of: Any
) -> None:
    """Every length up to 20, and every token of a text as the stop token, though drafts reach beyond."""
    engine, ids = opened(), prompts(tiny_model)
    if not engine.info.row_invariant:
        pytest.skip(f"{engine.info.name} does not promise row invariance")
    whole = text_of(Case(ids[0], {}, max_tokens=40))
    shorter = [Case(ids[0], {}, max_tokens=n) for n in range(1, 21)]
    stopped = [Case(ids[0], {}, max_tokens=40, stop=(token,)) for token in sorted(set(whole))]
    expected = [whole[:n] for n in range(1, 21)]
    expected += [whole[: whole.index(token) + 1] for token in sorted(set(whole))]
    requests = [DRAFTING[drafting](case, whole, i) for i, case in enumerate([*shorter, *stopped])]
    assert decode(engine, requests) == expected
