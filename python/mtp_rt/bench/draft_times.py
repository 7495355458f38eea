"""What a draft costs: the heads' time by depth, each draft behind a step that leaves the caches cold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from mtp_rt import _core
from mtp_rt.bench import measure
from mtp_rt.bench.feeding import feed


def draft_ms(engine: _core.Engine, text: Sequence[int], context: int, repeat: int) -> dict[str, float] | None:
    """Return [depth] milliseconds of drafting so many tokens behind `context` tokens; None without heads.

    Args:
        engine: Slot 0 is empty before and after.
        text: More than `context` tokens.
        context: Committed tokens.
        repeat: Rounds; times are medians over them.
    """
    heads = engine.info.extra_heads
    if heads == 0:
        return None
    feed(engine, 0, text[:context])
    token, params = text[context], _core.SamplingParams()
    seconds: dict[int, list[float]] = {depth: [] for depth in range(1, heads + 1)}
    engine.draft([0], [token], [heads], [1], [params])  # what heads remember of the context is made once
    for _, depth in measure.interleaved(list(seconds), repeat):
        engine.verify([0], [token], [context], [-1], [True])
        start = time.perf_counter()
        engine.draft([0], [token], [depth], [1], [params])
        seconds[depth].append(time.perf_counter() - start)
    engine.release(0)
    return {str(depth): measure.rounded(1e3 * median(times)) for depth, times in seconds.items()}
