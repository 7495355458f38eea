"""Decoding requests through the scheduler, and an independent loop that says what they must give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from driving import chain, feed, verify
from mtp_rt._core_testing import script

from mtp_rt._core import DraftOptions, Engine, Request, SamplingParams, Scheduler, pick

SAMPLING: Mapping[str, Mapping[str, Any]] = {
    "greedy": {},
    "temperature": {},
    "top_p": {"top_p": 0.9},
    "top_k": {"top_k": 20},
    "min_p": {"min_p": 0.05},
    "penalties": {"presence_penalty": 0.4, "frequency_penalty": 0.2, "repetition_penalty": 1.2},
    "everything": {
        "top_p": 0.95,
        "top_k": 50,
        "min_p": 0.01,
        "repetition_penalty": 1.1,
        "logit_bias": {5: 2.0},
    },
}


@dataclass(frozen=True)
class Case:
    """What a text depends on: prompt, parameters, seed and where it ends."""

    prompt: Sequence[int]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int = 64
    stop: Sequence[int] = ()

    def request(
        self, drafts: str = "none", max_drafts: int = 7, *, adaptive: bool = False, width: int = 0
    ) -> Request:
        """Return the request that asks for it, with drafts of some kind."""
        options = DraftOptions(source=drafts, max_drafts=max_drafts, adaptive=adaptive, max_width=width)
        return Request(
            self.prompt,
            SamplingParams(**self.sampling),
            max_tokens=self.max_tokens,
            stop_token_ids=self.stop,
            drafts=options,
        )

    def scripted(
        self, text: Sequence[int], acceptance: float, max_drafts: int, *, tree: bool, seed: int
    ) -> Request:
        """Return the request with drafts around its own `text`, right with probability `acceptance`."""
        request = self.request(max_drafts=max_drafts)
        # Wrong drafts are drawn below 512: ids that every model decoded here has.
        script(request, [*self.prompt, *text], acceptance=acceptance, tree=tree, seed=seed, vocab_size=512)
        return request


def plain_text(engine: Engine, case: Case, slot: int = 0) -> list[int]:
    """Return the text of `case` without scheduler: one row a call, then pick()."""
    params = SamplingParams(**case.sampling)
    in_prompt, generated = Counter(case.prompt), Counter[int]()
    engine.release(slot)
    feed(engine, slot, case.prompt[:-1])
    text: list[int] = []
    last = case.prompt[-1]
    while len(text) < case.max_tokens and (not text or text[-1] not in case.stop):
        logits = verify(engine, chain(engine, slot, [last]), wants_state=[False], taps=[]).logits[0]
        engine.commit([(slot, [0])])
        counts = [(t, in_prompt[t], generated[t]) for t in in_prompt.keys() | generated.keys()]
        last = pick(logits, params, len(case.prompt) + len(text), counts)
        text.append(last)
        generated[last] += 1
    engine.release(slot)
    return text


def decode(engine: Engine, requests: Iterable[Request], **options: Any) -> list[list[int]]:
    """Return the texts of requests that all start together."""
    scheduler = Scheduler(engine, **options)
    numbers = [scheduler.submit(request) for request in requests]
    texts: dict[int, list[int]] = {number: [] for number in numbers}
    while scheduler.running or scheduler.waiting:
        for event in scheduler.run_once():
            assert event.error is None, event.error
            texts[event.request] += event.tokens
    return list(texts.values())


def count_differing(found: Sequence[int], expected: Sequence[int]) -> int:
    """Return how many tokens differ; a missing or additional one counts."""
    return sum(a != b for a, b in zip(found, expected, strict=False)) + abs(len(found) - len(expected))


def top_two_margin(engine: Engine, tokens: Sequence[int]) -> float:
    """Return how far the best logit after `tokens` leads the second: small where a choice was a near tie."""
    engine.release(0)
    feed(engine, 0, tokens[:-1])
    logits = verify(engine, chain(engine, 0, tokens[-1:]), wants_state=[False], taps=[]).logits[0]
    engine.release(0)
    second, best = np.partition(logits, -2)[-2:]
    return float(best - second)
