"""From what people pass to what the scheduler takes, checked on the way."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal

from mtp_rt import _core
from mtp_rt.errors import ArgumentError, CapacityError
from mtp_rt.sampling_params import SamplingParams

Drafts = int | Literal["auto"]
DraftSource = Literal["auto", "heads", "lookup", "none"]

DRAFT_SOURCES = ("auto", "heads", "lookup", "none")
MAX_DRAFTS = 15
AUTO_DRAFTS = 7  # the widest verify call that the cost curve covers, less the row that is no draft


def check_range(name: str, value: int | None, low: int, high: int) -> None:
    """Raise ArgumentError unless `value` is None or an integer in [low, high]."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ArgumentError(f"{name} must be an integer in [{low}, {high}], got {value!r}")


def draft_options(drafts: Drafts, source: DraftSource) -> _core.DraftOptions:
    """Return the native form of how far and from what to draft.

    Raises:
        ArgumentError: `drafts` is neither "auto" nor 0 .. 15, or the source is unknown.
    """
    if source not in DRAFT_SOURCES:
        raise ArgumentError(f"draft_source must be one of {', '.join(DRAFT_SOURCES)}, got {source!r}")
    if drafts == "auto":
        return _core.DraftOptions(source=source, max_drafts=AUTO_DRAFTS, adaptive=True)
    if isinstance(drafts, bool) or not isinstance(drafts, int) or not 0 <= drafts <= MAX_DRAFTS:
        raise ArgumentError(f'drafts must be "auto" or an integer in [0, {MAX_DRAFTS}], got {drafts!r}')
    if drafts == 0:
        return _core.DraftOptions(source="none", max_drafts=0, adaptive=False)
    return _core.DraftOptions(source=source, max_drafts=drafts, adaptive=False)


def split_prompts(prompts: Any) -> tuple[bool, list[str | list[int]]]:
    """Return whether one prompt was given, and the prompts: strings or lists of token ids.

    Raises:
        ArgumentError: it is none of a string, a list of ids, and a list of either.
    """
    if isinstance(prompts, str):
        return True, [prompts]
    try:
        items = list(prompts)
    except TypeError:
        raise ArgumentError(f"a prompt must be a string or a list of token ids, got {prompts!r}") from None
    if not items:
        raise ArgumentError("the prompt is empty: give at least one token or one prompt")
    if all(_is_id(item) for item in items):
        return True, [_ids(items)]
    return False, [item if isinstance(item, str) else _ids(item) for item in items]


def check_prompt(ids: Sequence[int], *, vocab_size: int, context: int) -> None:
    """Check a prompt's ids, and that it leaves room for an answer.

    Raises:
        ArgumentError: it is empty or holds an id outside [0, vocab_size).
        CapacityError: it fills the context.
    """
    if not ids:
        raise ArgumentError("the prompt is empty: give at least one token")
    for index, token in enumerate(ids):
        if not 0 <= token < vocab_size:
            raise ArgumentError(
                f"prompt[{index}] is {token}, but the model's token ids are 0 .. {vocab_size - 1}"
            )
    if len(ids) >= context:
        raise CapacityError(
            f"the prompt has {len(ids)} tokens, but prompt and answer share a context of {context}"
        )


def native_request(
    ids: Sequence[int],
    params: SamplingParams,
    *,
    seed: int,
    end_tokens: Sequence[int],
    drafts: _core.DraftOptions,
) -> _core.Request:
    """Return the request that the scheduler takes."""
    stop = set(params.stop_token_ids) if params.ignore_eos else {*params.stop_token_ids, *end_tokens}
    return _core.Request(
        ids,
        native_sampling(params, seed=seed),
        max_tokens=params.max_tokens,
        min_tokens=params.min_tokens,
        stop_token_ids=sorted(stop),
        logprobs=params.logprobs,
        drafts=drafts,
    )


def native_sampling(params: SamplingParams, *, seed: int) -> _core.SamplingParams:
    """Return how tokens are chosen, as the engine and the scheduler take it."""
    return _core.SamplingParams(
        temperature=params.temperature,
        top_p=params.top_p,
        top_k=params.top_k,
        min_p=params.min_p,
        presence_penalty=params.presence_penalty,
        frequency_penalty=params.frequency_penalty,
        repetition_penalty=params.repetition_penalty,
        seed=seed,
        logit_bias=dict(params.logit_bias or {}),
    )


def _is_id(item: object) -> bool:
    return hasattr(item, "__index__")


def _ids(items: Any) -> list[int]:
    try:
        return [operator.index(item) for item in items]
    except TypeError:
        raise ArgumentError(f"a prompt must be a string or a list of token ids, got {items!r}") from None
