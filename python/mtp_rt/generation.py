"""The life of one request: from a scheduler's events to deltas and the completion."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from mtp_rt import _core
from mtp_rt.errors import EngineError
from mtp_rt.results import Completion, Delta, FinishReason, Logprob, Stats
from mtp_rt.sampling_params import SamplingParams
from mtp_rt.text_stream import TextStream


class Decoding(Protocol):
    """Turns tokens into characters, one token at a time."""

    def push(self, token: int) -> str:
        """Return the characters that the token completes."""

    def finish(self) -> str:
        """Return what stands for the bytes of an unfinished character."""


class NoText:
    """The text of a model without a tokenizer: none."""

    def push(self, token: int) -> str:
        """Return no characters."""
        return ""

    def finish(self) -> str:
        """Return no characters."""
        return ""


class Generation:
    """Collects what one request commits.

    Args:
        params: The request's parameters.
        seed: The seed it runs with.
        prompt_tokens: Length of its prompt.
        end_tokens: The model's own end tokens.
        decoding: Fresh state of the tokenizer for this request.
        cancel: Stops the request and returns its last event; called when a stop string is complete.
    """

    def __init__(
        self,
        params: SamplingParams,
        *,
        seed: int,
        prompt_tokens: int,
        end_tokens: Collection[int],
        decoding: Decoding,
        cancel: Callable[[], _core.Event],
    ) -> None:
        self._params = params
        self._seed = seed
        self._prompt_tokens = prompt_tokens
        self._end_tokens = end_tokens
        self._decoding = decoding
        self._cancel = cancel
        self._stream = TextStream(
            decoding.push,
            params.stop_strings,
            min_tokens=params.min_tokens,
            include_stop=params.include_stop_str_in_output,
        )
        self._text = ""
        self._tokens: list[int] = []
        self._logprobs: list[dict[int, Logprob]] = []
        self._commits = 0

    def take(self, event: _core.Event) -> Delta:
        """Return what a commit adds; the last delta holds the completion.

        Raises:
            EngineError: the request failed.
        """
        if event.finish_reason in ("error", "cancelled"):
            raise EngineError(event.error or "the request was cancelled")
        tokens = list(event.tokens)
        self._commits += bool(tokens)
        stopped = event.finish_reason == "stop"
        hidden = stopped and not self._params.include_stop_str_in_output
        shown = self._stream.push(tokens[:-1] if hidden else tokens)
        if shown.stop is not None:
            tokens = tokens[: shown.tokens]
        logprobs = [_logprobs(entry) for entry in event.logprobs[: len(tokens)]]
        self._tokens += tokens
        self._logprobs += logprobs
        text = shown.text
        completion = None
        if shown.stop is not None:
            last = event if event.finish_reason else self._cancel()
            completion = self._complete(text, "stop", shown.stop, last)
        elif event.finish_reason:
            text += self._stream.finish(self._decoding.finish())
            reason: FinishReason = "stop" if stopped else "length"
            given = stopped and tokens[-1] not in self._end_tokens
            completion = self._complete(text, reason, tokens[-1] if given else None, event)
        else:
            self._text += text
        return Delta(text, tokens, self._asked(logprobs), completion)

    def _complete(
        self, text: str, finish: FinishReason, stop_reason: str | int | None, last: _core.Event
    ) -> Completion:
        self._text += text
        return Completion(
            text=self._text,
            token_ids=self._tokens,
            finish_reason=finish,
            stop_reason=stop_reason,
            logprobs=self._asked(self._logprobs),
            prompt_tokens=self._prompt_tokens,
            seed=self._seed,
            stats=_stats(last.stats, tokens=len(self._tokens), steps=self._commits - 1),
        )

    def _asked(self, logprobs: list[dict[int, Logprob]]) -> list[dict[int, Logprob]] | None:
        return None if self._params.logprobs is None else logprobs


def _logprobs(entry: list[_core.TokenLogprob]) -> dict[int, Logprob]:
    """Return one token's log-probabilities, the chosen token first."""
    return {item.token: Logprob(item.logprob, item.rank) for item in entry}


def _stats(native: _core.Stats | None, *, tokens: int, steps: int) -> Stats:
    """Return the statistics of the first `steps` steps after the prompt.

    The scheduler may have gone further before the reader found a stop string: times and counts are scaled.
    """
    if native is None:
        raise EngineError("the scheduler ended a request without its statistics")
    native_steps = max(1, native.steps)
    share = steps / native_steps
    depths = sum(count > 0 for count in native.drafted_per_position)
    seconds = native.decode_seconds * share
    return Stats(
        steps=steps,
        tokens_per_step=(tokens - 1) / steps if steps else 0.0,
        accepted_per_position=[n / native_steps for n in native.accepted_per_position[:depths]],
        drafted_per_position=[n / native_steps for n in native.drafted_per_position[:depths]],
        tokens_per_second=(tokens - 1) / seconds if seconds > 0 else 0.0,
        prefill_seconds=native.prefill_seconds,
        decode_seconds=seconds,
        draft_seconds=native.draft_seconds * share,
        drafted_by_source={key: n / native_steps for key, n in native.drafted_by_source.items()},
        accepted_by_source={key: n / native_steps for key, n in native.accepted_by_source.items()},
    )
