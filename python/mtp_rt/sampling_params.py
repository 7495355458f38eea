"""How the tokens of a request are chosen and where it ends. Field names and meanings are vLLM's."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtp_rt.errors import ArgumentError

MAX_STOP_STRINGS = 16
MAX_STOP_BYTES = 256
MAX_STOP_TOKEN_IDS = 1024
MAX_LOGPROBS = 20
MAX_LOGIT_BIAS = 1024
MAX_TOKENS = 2**31 - 1

_REALS = (
    ("temperature", 0.0, 100.0),
    ("top_p", 0.0, 1.0),
    ("min_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("repetition_penalty", 0.0, 2.0),
)
_ABOVE_ZERO = ("top_p", "repetition_penalty")


@dataclass(frozen=True)
class SamplingParams:
    """Sampling, limits and stop rules of one request, checked when constructed.

    Attributes:
        temperature: 0 .. 100. 0 takes the most likely token.
        top_p: Keep the smallest set of tokens whose probability reaches this; (0, 1].
        top_k: Keep this many tokens; 0 keeps all.
        min_p: Drop tokens less likely than this share of the likeliest one's probability; 0 .. 1.
        presence_penalty: Subtracted once from the logit of every generated token; -2 .. 2.
        frequency_penalty: Subtracted once per occurrence among the generated tokens; -2 .. 2.
        repetition_penalty: Divides positive logits (multiplies negative ones) of tokens in prompt and text;
            (0, 2], 1 is off.
        seed: 0 .. 2**64 - 1; None draws one, which the result reports.
        max_tokens: Tokens to generate at most, 1 or more.
        min_tokens: No stop rule ends the text before this many tokens.
        stop: Up to 16 strings of at most 256 bytes that end the text; they are not part of it.
        stop_token_ids: Token ids that end the text, besides the model's own end tokens.
        ignore_eos: Do not stop at the model's end tokens.
        logprobs: Report the log-probability of each token and of this many most likely ones; 0 .. 20.
        logit_bias: Added to the logits of these token ids; at most 1,024 entries of -100 .. 100.
        include_stop_str_in_output: Keep the stop string (or stop token) in the text.
        skip_special_tokens: Leave special tokens out of the text.

    Raises:
        ArgumentError: a field is out of its range; the message names the field, the range and the value.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int = 256
    min_tokens: int = 0
    stop: str | Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    logit_bias: Mapping[int, float] | None = None
    include_stop_str_in_output: bool = False
    skip_special_tokens: bool = True

    def __post_init__(self) -> None:
        """Check every field; numbers become plain float and int, sequences tuples."""
        for name, low, high in _REALS:
            self._set(name, _real(name, getattr(self, name), low, high, above_low=name in _ABOVE_ZERO))
        self._set("top_k", _integer("top_k", self.top_k, 0, MAX_TOKENS, "0 keeps all"))
        if self.seed is not None:
            self._set("seed", _integer("seed", self.seed, 0, 2**64 - 1))
        self._set("max_tokens", _integer("max_tokens", self.max_tokens, 1, MAX_TOKENS))
        self._set(
            "min_tokens", _integer("min_tokens", self.min_tokens, 0, self.max_tokens, "max_tokens caps it")
        )
        self._set("stop", _stop_strings(self.stop))
        self._set("stop_token_ids", _token_ids("stop_token_ids", self.stop_token_ids))
        if self.logprobs is not None:
            self._set("logprobs", _integer("logprobs", self.logprobs, 0, MAX_LOGPROBS))
        if self.logit_bias is not None:
            self._set("logit_bias", _logit_bias(self.logit_bias))
        for name in ("ignore_eos", "include_stop_str_in_output", "skip_special_tokens"):
            if not isinstance(getattr(self, name), bool):
                raise ArgumentError(f"{name} must be true or false, got {getattr(self, name)!r}")

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """`stop` as a tuple, also where one string was given."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def new_seed() -> int:
    """Return a random seed, short enough to be typed."""
    return int.from_bytes(os.urandom(4), "little")


def _real(name: str, value: object, low: float, high: float, *, above_low: bool = False) -> float:
    """Return `value` as a float in [low, high], or in (low, high]."""
    left = "(" if above_low else "["
    problem = f"{name} must be a number in {left}{low:g}, {high:g}], got {value!r}"
    if isinstance(value, (bool, str, bytes)):
        raise ArgumentError(problem)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(problem) from None
    if not low <= number <= high or (above_low and number == low):  # NaN is in no range
        raise ArgumentError(problem)
    return number


def _integer(name: str, value: object, low: int, high: int, remark: str = "") -> int:
    """Return `value` as an int in [low, high]."""
    problem = f"{name} must be an integer in [{low}, {high}], got {value!r}" + (
        f" ({remark})" if remark else ""
    )
    if isinstance(value, bool):
        raise ArgumentError(problem)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentError(problem) from None
    if not low <= number <= high:
        raise ArgumentError(problem)
    return number


def _stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    strings = (stop,) if isinstance(stop, str) else tuple(stop)
    if len(strings) > MAX_STOP_STRINGS:
        raise ArgumentError(f"stop takes at most {MAX_STOP_STRINGS} strings, got {len(strings)}")
    for index, string in enumerate(strings):
        if not isinstance(string, str) or not string:
            raise ArgumentError(f"stop[{index}] must be a string that is not empty, got {string!r}")
        size = len(string.encode("utf-8", "surrogatepass"))
        if size > MAX_STOP_BYTES:
            raise ArgumentError(f"stop[{index}] must be at most {MAX_STOP_BYTES} bytes long, got {size}")
    return strings


def _token_ids(name: str, ids: Sequence[int]) -> tuple[int, ...]:
    if isinstance(ids, (str, bytes)):
        raise ArgumentError(f"{name} must be a list of token ids, got {ids!r}")
    if len(ids) > MAX_STOP_TOKEN_IDS:
        raise ArgumentError(f"{name} takes at most {MAX_STOP_TOKEN_IDS} ids, got {len(ids)}")
    return tuple(_integer(f"{name}[{index}]", token, 0, 2**31 - 1) for index, token in enumerate(ids))


def _logit_bias(bias: Mapping[int, float]) -> dict[int, float]:
    if not isinstance(bias, Mapping):
        raise ArgumentError(f"logit_bias must map token ids to numbers, got {bias!r}")
    if len(bias) > MAX_LOGIT_BIAS:
        raise ArgumentError(f"logit_bias takes at most {MAX_LOGIT_BIAS} entries, got {len(bias)}")
    return {
        _integer("logit_bias key", token, 0, 2**31 - 1): _real(f"logit_bias[{token}]", value, -100.0, 100.0)
        for token, value in bias.items()
    }
