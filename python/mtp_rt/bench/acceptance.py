"""How many drafts stand: counts by source and depth, without timing, several prompts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from mtp_rt import _core
from mtp_rt.bench import measure, session
from mtp_rt.bench.prompts import Item
from mtp_rt.errors import UnsupportedError
from mtp_rt.request import DraftSource, draft_options, native_request
from mtp_rt.sampling_params import SamplingParams


@dataclass(frozen=True)
class Settings:
    """What `mtp-rt evaluate` runs.

    Attributes:
        params: How tokens are chosen and where a text ends. Prompt i gets seed + i.
        drafts: Tokens drafted in every step.
        source: "heads", "lookup", or "auto" for what decoding drafts from: both where the model has heads.
    """

    params: SamplingParams
    drafts: int
    source: DraftSource

    def seed_of(self, index: int) -> int:
        """Return the seed of prompt `index`."""
        return ((self.params.seed or 0) + index) % 2**64


@dataclass
class Counts:
    """Steps and drafts, summed over any number of texts.

    Attributes:
        depth: Drafts counted, in order.
        prompts: Texts counted.
        tokens: Tokens after the first of each text.
        steps: Verify calls after the prompts.
        drafted: [k] steps that verified a draft k.
        accepted: [k] steps whose draft k stood.
    """

    depth: int
    prompts: int = 0
    tokens: int = 0
    steps: int = 0
    drafted: list[int] = field(init=False)
    accepted: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.drafted = [0] * self.depth
        self.accepted = [0] * self.depth

    def add(self, text: session.Decoded) -> None:
        """Add what one text took."""
        self.prompts += 1
        self.tokens += max(0, len(text.tokens) - 1)
        self.steps += text.steps
        if text.stats is not None:
            for sums, counts in (
                (self.drafted, text.stats.drafted_per_position),
                (self.accepted, text.stats.accepted_per_position),
            ):
                for k, count in enumerate(counts[: self.depth]):
                    sums[k] += count

    def as_json(self) -> dict[str, Any]:
        """Return the counts as `alpha`, `cumulative` and `tokens_per_step` (docs/benchmarks.md)."""
        shares = [a / d if d else 0.0 for a, d in zip(self.accepted, self.drafted, strict=True)]
        return {
            "prompts": self.prompts,
            "tokens": self.tokens,
            "steps": self.steps,
            "tokens_per_step": measure.rounded(self.tokens / self.steps if self.steps else 0.0),
            "alpha": conditional(shares),
            "cumulative": [measure.rounded(a / self.steps if self.steps else 0.0) for a in self.accepted],
        }


def conditional(shares: Sequence[float]) -> list[float]:
    """Return [k]: the chance that draft k stands where those before it stood, from the shares that stand."""
    before = [1.0, *shares]
    return [
        measure.rounded(min(1.0, share / last) if last else 0.0)
        for share, last in zip(shares, before, strict=False)
    ]


def run(
    engine: _core.Engine,
    end_tokens: Sequence[int],
    items: Sequence[Item],
    settings: Settings,
    progress: measure.Progress = measure.no_progress,
) -> tuple[dict[str, Any], list[list[int]]]:
    """Return the result of `mtp-rt evaluate` (docs/benchmarks.md), and the texts it counted.

    Args:
        engine: Its slots are prompts decoded side by side, as many as its rows leave all drafts to; that
            changes no count.
        end_tokens: The model's own end tokens.
        items: Prompts.
        settings: What to run.
        progress: Called after every text.

    Raises:
        UnsupportedError: the model has fewer extra heads than drafts are asked of them.
        EngineError: a request failed.
    """
    check_heads(engine.info.extra_heads, settings)
    drafts = draft_options(settings.drafts, settings.source)
    requests = [
        native_request(
            item.tokens, settings.params, seed=settings.seed_of(index), end_tokens=end_tokens, drafts=drafts
        )
        for index, item in enumerate(items)
    ]
    texts = session.decode(
        _core.Scheduler(engine),
        requests,
        lambda done: progress("decoding", done, len(requests)),
        together=side_by_side(engine.info.max_rows, settings.drafts),
    ).requests
    total = Counts(settings.drafts)
    by_source: dict[str, Counts] = {}
    for item, text in zip(items, texts, strict=True):
        total.add(text)
        by_source.setdefault(item.source, Counts(settings.drafts)).add(text)
    per_source = {source: counts.as_json() for source, counts in sorted(by_source.items())}
    result = {
        **total.as_json(),
        "mean_tokens_per_step": mean_over_sources(per_source, "tokens_per_step"),
        "per_source": per_source,
    }
    return result, [text.tokens for text in texts]


def side_by_side(max_rows: int, drafts: int) -> int:
    """Return how many texts can go on in a call of `max_rows` rows with all their drafts.

    A quarter of the rows is for prompts that come beside them (cpp/src/decode/row_plan.h).
    """
    return max(1, (max_rows - max(1, max_rows // 4)) // (1 + drafts))


def check_heads(extra_heads: int, settings: Settings) -> None:
    """Check that heads can draft as far as asked.

    Raises:
        UnsupportedError: they cannot.
    """
    if settings.source == "heads" and extra_heads == 0:
        raise UnsupportedError("the model has no extra heads: ask for drafts from lookup")
    if settings.source == "heads" and settings.drafts > extra_heads:
        raise UnsupportedError(
            f"drafts is {settings.drafts}, but the model has {extra_heads} extra heads: ask for fewer, "
            "or for drafts from lookup"
        )


def mean_over_sources(per_source: dict[str, dict[str, Any]], key: str) -> float:
    """Return the mean of a figure over the sources, each with the same weight."""
    return measure.rounded(fmean(figures[key] for figures in per_source.values()))
