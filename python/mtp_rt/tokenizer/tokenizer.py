"""Text <-> token ids of a model directory, and the prompt text of a conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtp_rt.errors import ArgumentError, ModelFormatError, UnsupportedError
from mtp_rt.tokenizer.chat_template import ChatTemplate

if TYPE_CHECKING:
    import tokenizers

_MAX_FILE_BYTES = 256 * 1024 * 1024


class Tokenizer:
    """The tokenizer of one model directory."""

    def __init__(self, backend: tokenizers.Tokenizer, template: ChatTemplate | None) -> None:
        self._backend = backend
        self._template = template

    @classmethod
    def load(cls, model_dir: str | Path) -> Tokenizer:
        """Read tokenizer.json and, where there is one, chat_template.jinja.

        Raises:
            UnsupportedError: the model has no tokenizer; it takes and returns token ids only.
            ModelFormatError: a file is damaged.
        """
        folder = Path(model_dir)
        path = folder / "tokenizer.json"
        if not path.exists():
            raise UnsupportedError(
                f"{folder}: has no tokenizer.json: this model takes and returns token ids only"
            )
        import tokenizers

        text = _read_text(path, _MAX_FILE_BYTES)
        try:
            backend = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the tokenizers library raises plain Exception
            raise ModelFormatError(str(path), "", f"is not a tokenizers file: {error}") from error
        backend.no_truncation()
        backend.no_padding()
        return cls(backend, _load_template(folder, backend))

    @property
    def vocab_size(self) -> int:
        """Number of ids the tokenizer knows; the model may have more rows (padding)."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def has_chat_template(self) -> bool:
        """Whether render_chat works."""
        return self._template is not None

    def encode(self, text: str, *, add_special: bool = True) -> list[int]:
        """Return the ids of a text. Special tokens written out in it become their ids.

        Args:
            text: Any text.
            add_special: Add the start (and end) token where the model expects one. Off for text from
                render_chat, which has them already.

        Raises:
            ArgumentError: text is not a string of Unicode characters.
        """
        if not isinstance(text, str):
            raise ArgumentError(f"text: must be a string, not {type(text).__name__}")
        try:
            return list(self._backend.encode(text, add_special_tokens=add_special).ids)
        except (UnicodeEncodeError, TypeError) as error:
            raise ArgumentError("text: holds a lone surrogate, which is no Unicode character") from error

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Return the text of ids; bytes that form no character become U+FFFD.

        Raises:
            ArgumentError: an id is negative or beyond 32 bits.
        """
        try:
            return str(self._backend.decode(list(ids), skip_special_tokens=skip_special))
        except (OverflowError, TypeError) as error:
            raise ArgumentError(f"ids: holds something that is no token id: {error}") from error

    def token_text(self, token: int) -> str:
        """Return one id's text by itself, special tokens written out."""
        return self.decode([token], skip_special=False)

    def stream(self, *, skip_special: bool = True) -> TextDecoder:
        """Return a decoder for tokens that arrive one after another."""
        return TextDecoder(self._backend, skip_special)

    def render_chat(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True
    ) -> str:
        """Return the prompt text of a conversation; encode it with add_special=False.

        Raises:
            UnsupportedError: the model has no chat template.
            ArgumentError: the messages are malformed, or the template refuses them.
            ModelFormatError: the template fails.
        """
        if self._template is None:
            raise UnsupportedError("the model has no chat template; give it a plain prompt")
        return self._template.render(messages, add_generation_prompt=add_generation_prompt)

    def encode_chat(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True
    ) -> list[int]:
        """Return the ids of render_chat's text. Raises what render_chat raises."""
        return self.encode(
            self.render_chat(messages, add_generation_prompt=add_generation_prompt), add_special=False
        )


class TextDecoder:
    """Turns tokens into text as they come; bytes of an incomplete character wait for the rest of it."""

    def __init__(self, backend: tokenizers.Tokenizer, skip_special: bool) -> None:
        from tokenizers.decoders import DecodeStream

        self._backend = backend
        self._skip_special = skip_special
        self._stream = DecodeStream(skip_special_tokens=skip_special)
        self._ids: list[int] = []
        self._shown = 0

    def push(self, token: int) -> str:
        """Return the characters that this token completes; "" in the middle of a character."""
        self._ids.append(token)
        text = self._stream.step(self._backend, token) or ""
        self._shown += len(text)
        return text

    def finish(self) -> str:
        """Return what was held back: an incomplete character as U+FFFD. Push nothing afterwards."""
        text = str(self._backend.decode(self._ids, skip_special_tokens=self._skip_special))
        return text[self._shown :]


def _load_template(folder: Path, backend: tokenizers.Tokenizer) -> ChatTemplate | None:
    path = folder / "chat_template.jinja"
    if not path.exists():
        return None
    config = _read_json(folder / "config.json")
    tokens = {}
    for role in ("bos", "eos"):
        ids = config.get(f"{role}_token_id")
        first = ids[0] if isinstance(ids, list) and ids else ids
        if isinstance(first, int) and not isinstance(first, bool) and first >= 0:
            tokens[f"{role}_token"] = backend.id_to_token(first) or ""
    return ChatTemplate(_read_text(path, _MAX_FILE_BYTES), tokens, str(path))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read_text(path, _MAX_FILE_BYTES))
    except ValueError as error:
        raise ModelFormatError(str(path), "", f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelFormatError(str(path), "", "is not a JSON object")
    return value


def _read_text(path: Path, limit: int) -> str:
    try:
        size = path.stat().st_size
        if size > limit:
            raise ModelFormatError(str(path), "", f"has {size} bytes; at most {limit} are allowed")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelFormatError(str(path), "", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelFormatError(str(path), "", "is not valid UTF-8") from error
