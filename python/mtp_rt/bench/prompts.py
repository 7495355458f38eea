"""Prompts to benchmark with: built in, or from a JSON lines file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mtp_rt.errors import ArgumentError

BUILT_IN = "prompts.jsonl"


@dataclass(frozen=True)
class Prompt:
    """One line of a prompt file.

    Attributes:
        source: What kind of text it is; results are also given per source.
        text: The prompt as it stands, or None where `messages` holds a conversation.
        messages: Conversation of {"role", "content"} objects, or None.
    """

    source: str
    text: str | None = None
    messages: tuple[dict[str, str], ...] | None = None

    def conversation(self) -> list[dict[str, str]]:
        """Return the messages; a bare text becomes one user turn."""
        if self.messages is not None:
            return list(self.messages)
        return [{"role": "user", "content": self.text or ""}]

    def plain(self) -> str:
        """Return the text as it stands; a conversation becomes its contents, a line each."""
        if self.text is not None:
            return self.text
        return "\n".join(message["content"] for message in self.messages or ())


@dataclass(frozen=True)
class Item:
    """A prompt as tokens, with the source it is reported under."""

    source: str
    tokens: list[int]


def built_in() -> list[Prompt]:
    """Return the built-in prompts: chat, code, maths, extraction with copying, JSON."""
    text = resources.files("mtp_rt.bench").joinpath(BUILT_IN).read_text(encoding="utf-8")
    return parse(text.splitlines(), f"built-in {BUILT_IN}")


def read(path: str | Path) -> list[Prompt]:
    """Return the prompts of a JSON lines file.

    Raises:
        ArgumentError: the file cannot be read, holds no prompt, or a line is not a prompt.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")  # not splitlines: JSON strings hold U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"cannot read the prompt file {path}: {error}") from error
    return parse(lines, str(path))


def parse(lines: Iterable[str], name: str) -> list[Prompt]:
    """Return the prompts of JSON lines; `name` is what errors call the file."""
    prompts = [
        _prompt(line, f"{name}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if not prompts:
        raise ArgumentError(f'{name} holds no prompt; each line is a JSON object with "prompt" or "messages"')
    return prompts


def _prompt(line: str, place: str) -> Prompt:
    try:
        fields: Any = json.loads(line)
    except ValueError as error:
        raise ArgumentError(f"{place}: not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ArgumentError(f'{place}: must be a JSON object with "prompt" or "messages"')
    source = fields.get("source", "all")
    if not isinstance(source, str) or not source:
        raise ArgumentError(f'{place}: "source" must be a string that is not empty, got {source!r}')
    text, messages = fields.get("prompt"), fields.get("messages")
    if (text is None) == (messages is None):
        raise ArgumentError(f'{place}: needs exactly one of "prompt" and "messages"')
    if text is not None:
        if not isinstance(text, str) or not text:
            raise ArgumentError(f'{place}: "prompt" must be a string that is not empty, got {text!r}')
        return Prompt(source, text=text)
    return Prompt(source, messages=_messages(messages, place))


def _messages(messages: Any, place: str) -> tuple[dict[str, str], ...]:
    problem = f'{place}: "messages" must be a list of objects with the strings "role" and "content"'
    if not isinstance(messages, list) or not messages:
        raise ArgumentError(problem)
    for message in messages:
        if not isinstance(message, dict) or not all(
            isinstance(message.get(key), str) for key in ("role", "content")
        ):
            raise ArgumentError(problem)
    return tuple({"role": message["role"], "content": message["content"]} for message in messages)
