"""What is asked of the model to write one dialogue, and what is made of its answers."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtp_rt import _core
from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.model_dir import parse_model_config
from mtp_rt.tokenizer import Tokenizer
from mtp_rt.training.distill.prompts import (
    SuppliedPrompt,
    is_evaluation,
    opening,
    prompt_hash,
    split_of,
)
from mtp_rt.training.distill.text_quality import loop_cut

if TYPE_CHECKING:
    from mtp_rt.training.distill.write import WriteSettings

MAX_PROMPT_TOKENS = 1024
MAX_ROWS = 128
LEAST_PROMPT_CHARACTERS = 8
LEAST_ANSWER_TOKENS = 8
_PLACE = "\ue000user turn\ue000"  # private-use characters: no template has them


@dataclass(frozen=True)
class Dropped:
    """A dialogue that is not kept.

    Attributes:
        index: Its number.
        reason: empty, overlong, evaluation, loop, duplicate or error.
    """

    index: int
    reason: str


@dataclass(frozen=True)
class Dialogue:
    """A prompt and its answer.

    Attributes:
        index: Its number in the run.
        source: What kind of text it is: "self:code", ... or what a supplied prompt says.
        split: train, dev or held_out, by the prompt's text.
        temperature: Of the answer.
        prompt_hash: Name of the prompt's text.
        prompt_ids: The prompt in the chat template.
        answer_ids: The answer, with the end token if it came to an end.
        finish: How the answer ended: stop (end token), length, loop (cut where it began to repeat).
    """

    index: int
    source: str
    split: str
    temperature: float
    prompt_hash: str
    prompt_ids: list[int]
    answer_ids: list[int] = field(default_factory=list)
    finish: str = ""

    def as_line(self) -> dict[str, Any]:
        """Return the dialogue as an object for JSON."""
        return asdict(self)


class Author:
    """Turns dialogue numbers into requests, and what comes back into dialogues.

    Args:
        model_dir: The model that writes.
        settings: What the text depends on.
        prompts: Answered by the first dialogues.
        writes_prompts: Whether the model writes prompts of its own behind those.

    Attributes:
        model_dir: The model that writes.
        supplied: How many prompts were supplied.

    Raises:
        ArgumentError: the settings leave no room in the context.
        UnsupportedError: the model has no chat template from which to write prompts.
    """

    def __init__(
        self,
        model_dir: Path,
        settings: WriteSettings,
        prompts: Sequence[SuppliedPrompt] | None,
        *,
        writes_prompts: bool,
    ) -> None:
        self.model_dir = model_dir
        self._settings = settings
        self._prompts = prompts
        self._tokenizer = Tokenizer.load(model_dir)
        config = parse_model_config((model_dir / "config.json").read_bytes())
        self._end_tokens = list(config.eos)
        longest = MAX_PROMPT_TOKENS + settings.max_answer_tokens
        self._context = min(longest, config.context)
        self._max_prompt_tokens = self._context - settings.max_answer_tokens
        if self._max_prompt_tokens < 1 or settings.max_user_tokens >= self._context:
            raise ArgumentError(
                f"max_user_tokens {settings.max_user_tokens} and max_answer_tokens "
                f"{settings.max_answer_tokens} must leave room for a prompt "
                f"in the context of {self._context} tokens"
            )
        self.supplied = len(prompts or ())
        self._frame = self._user_turn_frame() if writes_prompts else None

    def open_engine(self, slots: int) -> Callable[[], _core.Engine]:
        """Return what opens an engine of one thread with `slots` slots for this author's requests."""
        return lambda: _core.Engine(
            str(self.model_dir), threads=1, slots=slots, context=self._context, max_rows=MAX_ROWS
        )

    @property
    def prompts_digest(self) -> str | None:
        """SHA-256 of the supplied prompts; None without any."""
        if self._prompts is None:
            return None
        text = json.dumps([[prompt.source, list(map(dict, prompt.messages))] for prompt in self._prompts])
        return hashlib.sha256(text.encode()).hexdigest()

    def decode(self, ids: list[int]) -> str:
        """Return the text of token ids, special ones left out."""
        return self._tokenizer.decode(ids)

    def has(self, index: int) -> bool:
        """Whether there is a dialogue `index`: those whose prompts the model writes never end."""
        return self._frame is not None or index < self.supplied

    def begin(self, index: int) -> _core.Request | Dialogue | Dropped:
        """Return the request for the user turn, or the dialogue to be answered where the prompt is there."""
        if self._prompts is not None and index < self.supplied:
            prompt = self._prompts[index]
            return self._ask(index, prompt.source, prompt.text, self._supplied_ids(prompt))
        assert self._frame is not None  # has() said so
        before, ends = self._frame
        settings = self._settings
        start = self._opening(index)[1]
        ids = self._tokenizer.encode(before + start, add_special=False)
        params = _core.SamplingParams(
            temperature=settings.user_temperature, top_p=settings.user_top_p, seed=self._seed(index, 0)
        )
        return _request(ids, params, settings.max_user_tokens, ends)

    def prompt_written(self, index: int, tokens: list[int], ended: bool) -> Dialogue | Dropped:
        """Return the dialogue that the model's user turn begins, or why there is none."""
        if not ended:
            return Dropped(index, "overlong")
        source, start = self._opening(index)
        text = (start + self.decode(tokens)).strip()
        if len(text) < LEAST_PROMPT_CHARACTERS or text == start.strip():
            return Dropped(index, "empty")
        if loop_cut(tokens) is not None:
            return Dropped(index, "loop")
        ids = self._tokenizer.encode_chat([{"role": "user", "content": text}])
        return self._ask(index, f"self:{source}", text, ids)

    def answer_request(self, dialogue: Dialogue) -> _core.Request:
        """Return the request for the dialogue's answer."""
        settings = self._settings
        params = _core.SamplingParams(
            temperature=dialogue.temperature,
            top_p=settings.answer_top_p if dialogue.temperature > 0 else 1.0,
            seed=self._seed(dialogue.index, 1),
        )
        return _request(dialogue.prompt_ids, params, settings.max_answer_tokens, self._end_tokens)

    def finish(self, dialogue: Dialogue, tokens: list[int], ended: bool) -> Dialogue | Dropped:
        """Return the dialogue with its answer, or why it is dropped."""
        finish = "stop" if ended else "length"
        cut = loop_cut(tokens)
        if cut is not None:
            tokens, finish = tokens[:cut], "loop"
        if len(tokens) < LEAST_ANSWER_TOKENS:
            return Dropped(dialogue.index, "empty" if cut is None else "loop")
        return Dialogue(**(asdict(dialogue) | {"answer_ids": tokens, "finish": finish}))

    def _ask(self, index: int, source: str, text: str, ids: list[int]) -> Dialogue | Dropped:
        if is_evaluation(text):
            return Dropped(index, "evaluation")
        if len(ids) > self._max_prompt_tokens:
            return Dropped(index, "overlong")
        temperatures = self._settings.answer_temperatures
        return Dialogue(
            index, source, split_of(text), temperatures[index % len(temperatures)], prompt_hash(text), ids
        )

    def _opening(self, index: int) -> tuple[str, str]:
        return opening(random.Random(f"{self._settings.seed}:{index}"), self._settings.opening_share)

    def _seed(self, index: int, part: int) -> int:
        """Return the seed of a request: no two parts of a run share one."""
        return (self._settings.seed << 32) + 2 * index + part

    def _supplied_ids(self, prompt: SuppliedPrompt) -> list[int]:
        if self._tokenizer.has_chat_template:
            return self._tokenizer.encode_chat(prompt.messages)
        return self._tokenizer.encode(prompt.text)

    def _user_turn_frame(self) -> tuple[str, list[int]]:
        """Return the template's text before a user turn, and the tokens that end the turn."""
        if not self._tokenizer.has_chat_template:
            raise UnsupportedError(
                f"{self.model_dir} has no chat template from which to write prompts: "
                "give a prompt file, and nothing but that (--prompts-only)"
            )
        text = self._tokenizer.render_chat([{"role": "user", "content": _PLACE}], add_generation_prompt=False)
        before, found, after = text.partition(_PLACE)
        if not found:
            raise UnsupportedError(
                f"{self.model_dir}: its chat template does not show the user's text: "
                "give a prompt file, and nothing but that (--prompts-only)"
            )
        end = self._tokenizer.encode(after, add_special=False)[:1]
        return before, [*end, *(token for token in self._end_tokens if token not in end)]


def _request(
    ids: list[int], params: _core.SamplingParams, max_tokens: int, stops: list[int]
) -> _core.Request:
    drafts = _core.DraftOptions(source="none", max_drafts=0, adaptive=False)
    return _core.Request(ids, params, max_tokens=max_tokens, stop_token_ids=stops, drafts=drafts)
