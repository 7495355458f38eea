"""What the heads draft at every position of texts that stand already: acceptance without a decoding loop.

Decoding asks for drafts only where a step begins, and long steps skip what was easy. Whether these counts
still predict its tokens per step is a check of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mtp_rt import _core
from mtp_rt.bench import measure
from mtp_rt.bench.acceptance import Settings, conditional, mean_over_sources
from mtp_rt.bench.feeding import feed
from mtp_rt.bench.prompts import Item
from mtp_rt.errors import UnsupportedError
from mtp_rt.request import native_sampling


@dataclass(frozen=True)
class Text:
    """A finished text: the prompt, what the model wrote after it, and how it chose."""

    source: str
    prompt: list[int]
    answer: list[int]
    sampling: _core.SamplingParams


def check(settings: Settings) -> None:
    """Check that what drafts can be asked at any position.

    Raises:
        UnsupportedError: only heads can.
    """
    if settings.source != "heads":
        raise UnsupportedError(
            f"--teacher-forced asks heads at every position, but the drafts come from {settings.source}: "
            "add --draft-source heads"
        )


def run(
    engine: _core.Engine,
    items: Sequence[Item],
    answers: Sequence[list[int]],
    settings: Settings,
    progress: measure.Progress = measure.no_progress,
) -> dict[str, Any]:
    """Return `alpha`, `cumulative` and `predicted_tokens_per_step` by source, of drafts at every position.

    Args:
        engine: Its slots are empty before and after.
        items: Prompts.
        answers: The text after each, as plain decoding chose it.
        settings: What was run.
        progress: Called after every text.
    """
    texts = []
    for index, (item, answer) in enumerate(zip(items, answers, strict=True)):
        sampling = native_sampling(settings.params, seed=settings.seed_of(index))
        texts.append(Text(item.source, item.tokens, answer, sampling))
    sums = {source: [[0, 0] for _ in range(settings.drafts)] for source in sorted({t.source for t in texts})}
    for done, (text, drafts) in enumerate(drafts_of(engine, texts, settings.drafts), start=1):
        for position, row in enumerate(drafts):
            for k, run_length in enumerate(agreeing(row, text.answer[position + 1 :])):
                sums[text.source][k][0] += 1
                sums[text.source][k][1] += run_length
        progress("drafting at every position", done, len(texts))
    per_source = {source: figures(pairs) for source, pairs in sums.items()}
    total = [[sum(pairs[k][i] for pairs in sums.values()) for i in (0, 1)] for k in range(settings.drafts)]
    return {
        **figures(total),
        "mean_predicted_tokens_per_step": mean_over_sources(per_source, "predicted_tokens_per_step"),
        "per_source": per_source,
    }


def figures(pairs: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return the figures of [k] (positions with a token k places on, those where drafts 1..k all stand)."""
    shares = [standing / positions if positions else 0.0 for positions, standing in pairs]
    return {
        "positions": pairs[0][0] if pairs else 0,
        "alpha": conditional(shares),
        "cumulative": [measure.rounded(share) for share in shares],
        "predicted_tokens_per_step": measure.rounded(1.0 + sum(shares)),
    }


def agreeing(drafts: Sequence[int], tokens: Sequence[int]) -> list[bool]:
    """Return for every draft that has a token beside it whether it and all before it equal theirs."""
    result: list[bool] = []
    for draft, token in zip(drafts, tokens, strict=False):
        result.append(draft == token and (not result or result[-1]))
    return result


def drafts_of(
    engine: _core.Engine, texts: Sequence[Text], depth: int
) -> Iterator[tuple[Text, list[list[int]]]]:
    """Yield each text, when it is done, with the drafts [position][depth] behind each token of its answer.

    The texts go through the engine's slots side by side, one token a call.
    """
    waiting = list(reversed(texts))
    running: dict[int, tuple[Text, list[list[int]]]] = {}
    while waiting or running:
        for slot in set(range(engine.info.slots)) - running.keys():
            if not waiting:
                break
            text = waiting.pop()
            feed(engine, slot, text.prompt)
            running[slot] = (text, [])
        _advance(engine, running, depth)
        for slot, (text, drafts) in list(running.items()):
            if len(drafts) == len(text.answer):
                engine.release(slot)
                yield running.pop(slot)


def _advance(engine: _core.Engine, running: dict[int, tuple[Text, list[list[int]]]], depth: int) -> None:
    """Draft behind the next token of every text, then commit that token."""
    slots = [slot for slot, (text, drafts) in running.items() if len(drafts) < len(text.answer)]
    if not slots:
        return
    texts = [running[slot][0] for slot in slots]
    tokens = [text.answer[len(running[slot][1])] for slot, text in zip(slots, texts, strict=True)]
    sampling = [text.sampling for text in texts]
    drafted, _ = engine.draft(slots, tokens, [depth] * len(slots), [1] * len(slots), sampling)
    for slot, row in zip(slots, drafted.reshape(len(slots), depth).tolist(), strict=True):
        running[slot][1].append(row)
    positions = [engine.length(slot) for slot in slots]
    engine.verify(slots, tokens, positions, [-1] * len(slots), [False] * len(slots))
    engine.commit([(slot, [row]) for row, slot in enumerate(slots)])
