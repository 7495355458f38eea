"""Runs checked prompts to their end: one as a stream, several side by side."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from mtp_rt import _core
from mtp_rt.generation import Decoding, Generation
from mtp_rt.request import native_request
from mtp_rt.results import Completion, Delta
from mtp_rt.runner import Runner
from mtp_rt.sampling_params import SamplingParams, new_seed

Work = tuple[list[int], SamplingParams]


class Completer:
    """Turns prompts into completions by way of one scheduler.

    Args:
        runner: Drives the scheduler.
        end_tokens: The model's own end tokens.
        decoding: Returns fresh tokenizer state; its argument is whether to skip special tokens.
    """

    def __init__(
        self, runner: Runner, end_tokens: Sequence[int], decoding: Callable[[bool], Decoding]
    ) -> None:
        self._runner = runner
        self._end_tokens = end_tokens
        self._decoding = decoding

    def stream(self, work: Work, drafts: _core.DraftOptions) -> Generator[Delta, None, None]:
        """Yield what each step adds; the last delta holds the completion. Closing it cancels the request."""
        number, generation = self._submit(work, drafts)
        try:
            while True:
                delta = generation.take(self._runner.next_event([number]))
                yield delta
                if delta.completion is not None:
                    return
        finally:
            self._runner.cancel(number)

    def complete(self, works: Sequence[Work], drafts: _core.DraftOptions) -> list[Completion]:
        """Return the completions in order. An exception cancels all that is not done."""
        running: dict[int, Generation] = {}
        done: dict[int, Completion] = {}
        try:
            for work in works:
                number, generation = self._submit(work, drafts)
                running[number] = generation
            order = list(running)
            while running:
                event = self._runner.next_event(running)
                completion = running[event.request].take(event).completion
                if completion is not None:
                    done[event.request] = completion
                    del running[event.request]
        finally:
            for number in running:
                self._runner.cancel(number)
        return [done[number] for number in order]

    def _submit(self, work: Work, drafts: _core.DraftOptions) -> tuple[int, Generation]:
        ids, params = work
        seed = new_seed() if params.seed is None else params.seed
        request = native_request(ids, params, seed=seed, end_tokens=self._end_tokens, drafts=drafts)
        number = self._runner.submit(request)
        generation = Generation(
            params,
            seed=seed,
            prompt_tokens=len(ids),
            end_tokens=self._end_tokens,
            decoding=self._decoding(params.skip_special_tokens),
            cancel=lambda: self._runner.finish(number),
        )
        return number, generation
