"""pick() as its definition reads, in numpy: every filter a sort, every noise computed, nothing skipped."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from mtp_rt import _core

F32 = np.float32
Counts = list[tuple[int, int, int]]  # (token, in prompt, generated)


@dataclasses.dataclass(frozen=True)
class Params:
    """SamplingParams that Python can read back."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    logit_bias: dict[int, float] = dataclasses.field(default_factory=dict)

    def native(self) -> _core.SamplingParams:
        return _core.SamplingParams(**dataclasses.asdict(self))


def exp32(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The library's float exp, operation by operation."""
    with np.errstate(invalid="ignore", over="ignore"):
        shifted = x * F32(float.fromhex("0x1.715476p+0")) + F32(1.5 * 2**23)
        n = shifted - F32(1.5 * 2**23)
        r = (x - n * F32(float.fromhex("0x1.62e4p-1"))) - n * F32(float.fromhex("0x1.7f7d1cp-20"))
        p = np.full_like(x, F32(1) / F32(5040))
        for c in (1 / F32(720), 1 / F32(120), 1 / F32(24), 1 / F32(6), F32(0.5), F32(1), F32(1)):
            p = p * r + F32(c)
        bits = p.view(np.uint32) + (shifted.view(np.uint32) << np.uint32(23))
    return np.where(x >= F32(-86), bits.view(np.float32), F32(0))


def log64(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The library's log, operation by operation."""
    half_root = np.int64(0x3FE6A09E667F3BCD)
    offset = np.asarray(x, np.float64).view(np.int64) - half_root
    n = (offset >> 52).astype(np.float64)
    m = ((offset & np.int64(0x000FFFFFFFFFFFFF)) + half_root).view(np.float64)
    s = (m - 1) / (m + 1)
    series = np.full_like(s, 1 / 21)
    for odd in range(19, 0, -2):
        series = series * (s * s) + 1 / odd
    return n * float.fromhex("0x1.62e42feep-1") + (
        n * float.fromhex("0x1.a39ef35793c76p-33") + 2 * s * series
    )


def random_words(seed: int, position: int, vocab: int) -> NDArray[np.uint32]:
    """Philox4x32-10: key = seed, counter = (id // 4, position), lane id % 4."""
    quads = np.arange((vocab + 3) // 4, dtype=np.uint64)
    c = [
        quads,
        quads * 0,
        quads * 0 + np.uint64(position & 0xFFFFFFFF),
        quads * 0 + np.uint64(position >> 32),
    ]
    k0, k1, low = seed & 0xFFFFFFFF, seed >> 32, np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (b >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            b & low,
            (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            a & low,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1).reshape(-1)[:vocab].astype(np.uint32)


def noise(seed: int, position: int, vocab: int) -> NDArray[np.float64]:
    """Gumbel noise of every token."""
    uniform = (random_words(seed, position, vocab).astype(np.float64) + 0.5) * 2.0**-32
    return -log64(-log64(uniform))


def adjusted(
    logits: NDArray[np.float32], params: Params, counts: Counts, allowed: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Penalties, bias, mask."""
    x = logits.copy()
    for token, in_prompt, generated in counts:
        if in_prompt + generated > 0:
            rate = F32(params.repetition_penalty)
            x[token] = x[token] / rate if x[token] > 0 else x[token] * rate
        x[token] -= F32(params.frequency_penalty) * F32(generated)
        if generated > 0:
            x[token] -= F32(params.presence_penalty)
    for token, bias in params.logit_bias.items():
        x[token] += F32(bias)
    if allowed is not None:
        x[~allowed] = -np.inf
    return x


def scores(x: NDArray[np.float32], params: Params) -> NDArray[np.float32]:
    """Log-probabilities relative to the best, -inf for what the filters take away."""
    with np.errstate(invalid="ignore", over="ignore"):
        scale = min(F32(1) / F32(params.temperature), np.finfo(F32).max)
        z = (x - x.max()) * scale
    order = np.lexsort((np.arange(len(z)), -z))
    order = order[z[order] > -np.inf]
    if params.top_k > 0:
        order = order[: params.top_k]
    if F32(params.top_p) < 1:
        masses = np.round(exp32(z[order]).astype(np.float64) * 2.0**32)
        target = float(F32(params.top_p)) * masses.sum()
        order = order[: np.searchsorted(np.cumsum(masses), target) + 1]
    if params.min_p > 0:
        order = order[z[order] >= F32(log64(np.array([float(F32(params.min_p))]))[0])]
    kept = np.full_like(z, -np.inf)
    kept[order] = z[order]
    return kept


def pick(
    logits: NDArray[np.float32],
    params: Params,
    position: int,
    counts: Counts = (),  # type: ignore[assignment]
    allowed: NDArray[np.bool_] | None = None,
) -> int:
    """The token that the definition gives; the lowest id among equals."""
    x = adjusted(logits, params, list(counts), allowed)
    if params.temperature == 0:
        return int(np.argmax(x))
    return int(np.argmax(scores(x, params).astype(np.float64) + noise(params.seed, position, len(x))))
