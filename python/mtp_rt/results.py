"""What generating returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Logprob:
    """Log-probability (natural, of the model's raw distribution) and rank (1: the most likely) of a token."""

    logprob: float
    rank: int


@dataclass(frozen=True)
class Stats:
    """What a request cost. Rates are of decoding alone: they leave out the prompt and the first token.

    Attributes:
        steps: Verify calls after the prompt.
        tokens_per_step: Tokens after the first, over steps; 0 without a step.
        accepted_per_position: [k] share of the steps whose draft k was accepted.
        drafted_per_position: [k] share of the steps that verified a draft k.
        tokens_per_second: Tokens after the first, over `decode_seconds`; 0 without a step.
        prefill_seconds: From submitting the request to its first token.
        decode_seconds: From the first token to the last.
        draft_seconds: The part of `decode_seconds` spent drafting, for this request or others of its steps.
        drafted_by_source: Drafts verified, in the mean of a step, by where they came from; where heads and
            lookup drafted one tree, by who drafted its likeliest node.
        accepted_by_source: Those that were accepted.
    """

    steps: int
    tokens_per_step: float
    accepted_per_position: list[float]
    drafted_per_position: list[float]
    tokens_per_second: float
    prefill_seconds: float
    decode_seconds: float
    draft_seconds: float
    drafted_by_source: dict[str, float]
    accepted_by_source: dict[str, float]


@dataclass(frozen=True)
class Completion:
    """The whole answer to one prompt.

    Attributes:
        text: Without the stop string or stop token, unless asked for.
        token_ids: Up to the token that ended the text: the stop token, or the last one of the stop string.
        finish_reason: "stop" (end token, stop token or stop string) or "length" (max_tokens or the context).
        stop_reason: The stop string or the id from `stop_token_ids`; None for end token and length.
        logprobs: Per token, the chosen id first, then the most likely ids; None unless asked for.
        prompt_tokens: Length of the prompt.
        seed: Repeats this answer when given as `SamplingParams.seed`.
        stats: Counts and times.
    """

    text: str
    token_ids: list[int]
    finish_reason: FinishReason
    stop_reason: str | int | None
    logprobs: list[dict[int, Logprob]] | None
    prompt_tokens: int
    seed: int
    stats: Stats


@dataclass(frozen=True)
class Delta:
    """What one step adds to an answer.

    Attributes:
        text: May be empty: characters wait for their last byte, and text that may become a stop string waits.
        token_ids: The tokens that the step committed.
        logprobs: One entry per token; None unless asked for.
        completion: The whole answer, with the last delta only.
    """

    text: str
    token_ids: list[int]
    logprobs: list[dict[int, Logprob]] | None = None
    completion: Completion | None = None
