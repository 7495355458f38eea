"""Renders a model's chat template, as transformers does: same sandbox, same globals, same text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from mtp_rt.errors import ArgumentError, ModelFormatError

if TYPE_CHECKING:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

ROLES = ("system", "user", "assistant", "tool")
MAX_TEMPLATE_BYTES = 64 * 1024
MAX_RENDERED_CHARACTERS = 4 * 1024 * 1024


class ChatTemplate:
    """A template, compiled when it is first rendered: until then jinja2 takes no memory.

    Templates come from model files, so they run in jinja2's immutable sandbox, and their size and output are
    limited. Their time is not: render the templates of strangers in a process of their own.
    """

    def __init__(self, source: str, tokens: Mapping[str, str], file: str = "chat_template.jinja") -> None:
        """Take a template.

        Args:
            source: The template's text.
            tokens: Variables of the template: "bos_token", "eos_token".
            file: Named in errors.

        Raises:
            ModelFormatError: the template is larger than 64 KiB.
        """
        size = len(source.encode("utf-8", "surrogatepass"))
        if size > MAX_TEMPLATE_BYTES:
            raise ModelFormatError(file, "", f"has {size} bytes; at most {MAX_TEMPLATE_BYTES} are allowed")
        self._source, self._file = source, file
        self._tokens = dict(tokens)

    @cached_property
    def _template(self) -> jinja2.Template:
        import jinja2

        try:
            return _environment().from_string(self._source)
        except (jinja2.TemplateError, RecursionError, SyntaxError) as error:
            raise ModelFormatError(self._file, "", f"is not a valid template: {error}") from error

    def render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> str:
        """Return the prompt text for a conversation.

        Args:
            messages: {"role": ..., "content": ...} each; role is system, user, assistant or tool.
            add_generation_prompt: End with the opening of the assistant's next message.

        Raises:
            ArgumentError: messages are not of that form, or the template refuses them.
            ModelFormatError: the template is not valid jinja2, fails or writes more than 4 Mi characters.
        """
        conversation, template = check_messages(messages), self._template
        parts: list[str] = []
        size = 0
        try:
            for part in template.generate(
                messages=conversation,
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._tokens,
            ):
                size += len(part)
                if size > MAX_RENDERED_CHARACTERS:
                    raise ModelFormatError(
                        self._file, "", f"writes more than {MAX_RENDERED_CHARACTERS} characters"
                    )
                parts.append(part)
        except _RefusedError as error:
            raise ArgumentError(f"messages: the model's chat template refuses them: {error}") from error
        except ModelFormatError:
            raise
        except Exception as error:  # whatever a template raises, it is the template that failed
            raise ModelFormatError(self._file, "", f"failed: {type(error).__name__}: {error}") from error
        return "".join(parts)


def check_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages as plain dictionaries.

    Raises:
        ArgumentError: names the message and what is wrong with it.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        raise ArgumentError(f"messages: must be a list of messages, not {type(messages).__name__}")
    if not messages:
        raise ArgumentError("messages: is empty; give at least one message")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, Mapping):
            raise ArgumentError(
                f"{where}: must be a mapping with role and content, not {type(message).__name__}"
            )
        if message.get("role") not in ROLES:
            raise ArgumentError(f"{where}.role: {message.get('role')!r} is not one of {', '.join(ROLES)}")
        if not isinstance(message.get("content"), str):
            raise ArgumentError(
                f"{where}.content: must be a string, not {type(message.get('content')).__name__}"
            )
    return [dict(message) for message in messages]


class _RefusedError(Exception):
    """The template called raise_exception."""


def _environment() -> ImmutableSandboxedEnvironment:
    """Return the environment that transformers gives to chat templates."""
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_generation_tag(), jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _generation_tag() -> type[jinja2.ext.Extension]:
    """Return the extension for `{% generation %}`, which marks text for training; its body is rendered."""
    import jinja2.ext
    import jinja2.nodes

    class GenerationTag(jinja2.ext.Extension):
        tags = {"generation"}  # noqa: RUF012 (jinja2's own convention)

        def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return GenerationTag


def _raise_exception(message: str) -> NoReturn:
    raise _RefusedError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # jinja2's own filter escapes HTML characters, which prompts must not.
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
