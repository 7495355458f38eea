"""`LLM`: text in, text out."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from mtp_rt import _core
from mtp_rt.completer import Completer
from mtp_rt.errors import ArgumentError, EngineError, UnsupportedError
from mtp_rt.generation import Decoding, NoText
from mtp_rt.request import Drafts, DraftSource, check_prompt, check_range, draft_options, split_prompts
from mtp_rt.results import Completion, Delta
from mtp_rt.runner import Runner
from mtp_rt.sampling_params import SamplingParams

if TYPE_CHECKING:
    from mtp_rt.tokenizer import Tokenizer

Messages = Sequence[Mapping[str, Any]]

MAX_SLOTS = 256
MAX_THREADS = 256
MAX_CONTEXT = 2**20


class LLM:
    """A loaded model that continues texts and answers messages.

    Drafts change how fast the text comes, never the text: with the same parameters and seed it is that of
    plain decoding. Threads and half-read streams may share one LLM; they run side by side in its slots.

    Args:
        model: A known model's name, fetched on first use, or a model directory; None is the default model.
        engine: "native"; "onnxruntime" for a directory with exported graphs; "tensorrt" for one with plans,
            on a GPU.
        drafts: Tokens guessed ahead per step, 0 .. 15; "auto" drafts as many as pay off.
        threads: None takes one per available core.
        draft_source: "lookup" repeats what followed the same tokens before, "heads" asks the model's heads,
            "auto" joins both in one tree, "none" nothing.
        isa: Instruction set, one of `_core.available_isas()`; None takes the best.
        context: Tokens of prompt and answer together; None takes the model's limit.
        slots: Requests that run at the same time; more wait.
        two_stage_head: Whether the output layer is computed in two stages; None does what the model says.
        provider: Where engine "onnxruntime" runs: "cpu", or "cuda" on the first NVIDIA GPU.
        progress: Told how far fetching the model has come (see `mtp_rt.hub.resolve_model`).

    Raises:
        ArgumentError: an argument is out of its range.
        Error: the model is unknown, cannot be fetched or is damaged, or the machine lacks what was asked for.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        engine: str = "native",
        drafts: Drafts = "auto",
        threads: int | None = None,
        *,
        draft_source: DraftSource = "auto",
        isa: str | None = None,
        context: int | None = None,
        slots: int = 8,
        two_stage_head: bool | None = None,
        provider: str = "cpu",
        progress: Callable[..., None] | None = None,
    ) -> None:
        from mtp_rt import hub
        from mtp_rt.costs import open_scheduler
        from mtp_rt.engines import open_engine
        from mtp_rt.model_dir import parse_model_config
        from mtp_rt.tokenizer import Tokenizer

        draft_options(drafts, draft_source)
        check_range("threads", threads, 1, MAX_THREADS)
        check_range("slots", slots, 1, MAX_SLOTS)
        check_range("context", context, 1, MAX_CONTEXT)
        self._drafts = drafts
        self._draft_source = draft_source
        self.model_dir: Path = hub.resolve_model(model or hub.DEFAULT_MODEL, progress=progress)
        started = time.perf_counter()
        options = {"context": context or 0, "two_stage_head": two_stage_head}
        has_text = (self.model_dir / "tokenizer.json").exists()
        self._tokenizer = Tokenizer.load(self.model_dir) if has_text else None
        _core.give_memory_back()  # what reading the tokenizer took, before the weights come
        native = open_engine(
            self.model_dir, engine, provider=provider, isa=isa, threads=threads, slots=slots, **options
        )
        self.info: _core.EngineInfo = native.info
        end_tokens = parse_model_config((self.model_dir / "config.json").read_bytes()).eos
        runner = Runner(open_scheduler(native, self.model_dir, hub.cache_root()))
        self._completer: Completer | None = Completer(runner, end_tokens, self._decoding)
        _core.give_memory_back()  # what packing the weights took
        self.load_seconds = time.perf_counter() - started

    def __enter__(self) -> LLM:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the model's memory back. Closing twice is fine; using a closed LLM raises EngineError."""
        self._completer = None

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer and chat template.

        Raises:
            UnsupportedError: the model has none: it takes and returns token ids only.
        """
        if self._tokenizer is None:
            raise UnsupportedError(f"{self.model_dir} has no tokenizer.json: give token ids as the prompt")
        return self._tokenizer

    @overload
    def generate(
        self,
        prompts: str | Sequence[int],
        params: SamplingParams | None = None,
        *,
        drafts: Drafts | None = None,
    ) -> Completion: ...

    @overload
    def generate(
        self,
        prompts: list[str] | Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        drafts: Drafts | None = None,
    ) -> list[Completion]: ...

    def generate(
        self,
        prompts: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        drafts: Drafts | None = None,
    ) -> Completion | list[Completion]:
        """Continue a prompt, or several side by side. Strings are taken as they stand: no chat template.

        Args:
            prompts: A string, a list of token ids, or a list of either.
            params: For every prompt, or a list with one for each; None takes the defaults.
            drafts: Overrides the LLM's setting.

        Returns:
            A completion, or a list of them in the order of the prompts.

        Raises:
            ArgumentError: a prompt is empty or holds an id that the model does not have.
            CapacityError: a prompt leaves no room for an answer in the context.
        """
        single, many = split_prompts(prompts)
        works = list(zip(map(self._encode, many), _one_each(params, len(many)), strict=True))
        completions = self._open().complete(works, self._draft_options(drafts))
        return completions[0] if single else completions

    def stream(
        self,
        prompt: str | Sequence[int],
        params: SamplingParams | None = None,
        *,
        drafts: Drafts | None = None,
    ) -> Generator[Delta, None, None]:
        """Continue a prompt and yield what each step adds; the last delta holds the completion.

        The arguments are checked at once, the work is done as the iterator is read. Closing the iterator
        cancels the request.

        Raises:
            ArgumentError, CapacityError: as `generate`.
        """
        single, many = split_prompts(prompt)
        if not single:
            raise ArgumentError("stream takes one prompt: a string or a list of token ids")
        work = (self._encode(many[0]), params or SamplingParams())
        return self._open().stream(work, self._draft_options(drafts))

    def chat(
        self,
        messages: Messages,
        params: SamplingParams | None = None,
        *,
        drafts: Drafts | None = None,
    ) -> Completion:
        """Answer a conversation, by the model's chat template.

        Args:
            messages: Mappings with "role" ("system", "user", "assistant") and "content".
            params: None takes the defaults.
            drafts: Overrides the LLM's setting.

        Raises:
            ArgumentError: a message is malformed.
            CapacityError: the conversation leaves no room for an answer in the context.
            UnsupportedError: the model has no chat template.
        """
        work = (self._render(messages), params or SamplingParams())
        return self._open().complete([work], self._draft_options(drafts))[0]

    def stream_chat(
        self,
        messages: Messages,
        params: SamplingParams | None = None,
        *,
        drafts: Drafts | None = None,
    ) -> Generator[Delta, None, None]:
        """Answer a conversation and yield what each step adds: `chat`, read as `stream`."""
        work = (self._render(messages), params or SamplingParams())
        return self._open().stream(work, self._draft_options(drafts))

    def _encode(self, prompt: str | list[int]) -> list[int]:
        return self._checked(self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt)

    def _checked(self, ids: list[int]) -> list[int]:
        check_prompt(ids, vocab_size=self.info.vocab_size, context=self.info.context)
        return ids

    def _render(self, messages: Messages) -> list[int]:
        return self._checked(self.tokenizer.encode_chat(messages))

    def _draft_options(self, drafts: Drafts | None) -> _core.DraftOptions:
        return draft_options(self._drafts if drafts is None else drafts, self._draft_source)

    def _open(self) -> Completer:
        if self._completer is None:
            raise EngineError("this LLM is closed: open a new one")
        return self._completer

    def _decoding(self, skip_special: bool) -> Decoding:
        return NoText() if self._tokenizer is None else self._tokenizer.stream(skip_special=skip_special)


def _one_each(params: SamplingParams | Sequence[SamplingParams] | None, count: int) -> list[SamplingParams]:
    if params is None or isinstance(params, SamplingParams):
        return [params or SamplingParams()] * count
    if len(params) != count:
        raise ArgumentError(
            f"params must be one SamplingParams or one per prompt: {count} prompts, got {len(params)}"
        )
    return list(params)
