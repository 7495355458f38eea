"""Text to token ids for training: bytes, or a Hugging Face tokenizer.

A byte vocabulary is an ordinary tokenizer file whose token b is byte b, so that the finished model runs
like any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError

BYTES = "bytes"
END_OF_BYTES = "<|endoftext|>"
_KNOWN_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>")


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and its end-of-document token.

    Attributes:
        file: the text of its tokenizer.json.
        size: how many ids it knows.
        end: the id behind every document.
        of_bytes: whether token b is byte b.
    """

    file: str
    size: int
    end: int
    of_bytes: bool

    @property
    def sha256(self) -> str:
        """Return the digest of the file."""
        return hashlib.sha256(self.file.encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Return each text's ids, the end token behind them."""
        if self.of_bytes:
            ids = [np.frombuffer(text.encode(), np.uint8) for text in texts]
        else:
            backend = _backend(self.file, "tokenizer.json")
            ids = [np.array(made.ids) for made in backend.encode_batch(list(texts), add_special_tokens=False)]
        return [np.append(each, self.end).astype(np.int32) for each in ids]


def open_vocabulary(tokenizer: str, end_token: str | None = None) -> Vocabulary:
    """Return the vocabulary that a config names.

    Args:
        tokenizer: "bytes", or the path of a tokenizer.json.
        end_token: the token that ends documents; None: a usual one.

    Raises:
        ArgumentError: the file cannot be read or is no tokenizer, or has no such token.
    """
    if tokenizer == BYTES:
        return Vocabulary(_byte_tokenizer(), 257, 256, True)
    try:
        text = Path(tokenizer).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"data.tokenizer: {tokenizer}: cannot be read: {error}") from error
    backend = _backend(text, tokenizer)
    candidates = _KNOWN_ENDS if end_token is None else (end_token,)
    end = next((i for name in candidates if (i := backend.token_to_id(name)) is not None), None)
    if end is None:
        raise ArgumentError(
            f"data.end_token: {tokenizer} has none of {', '.join(candidates)}; name the one that ends texts"
        )
    return Vocabulary(text, int(backend.get_vocab_size(with_added_tokens=True)), int(end), False)


def _backend(text: str, file: str) -> Any:
    import tokenizers

    try:
        backend = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the tokenizers library raises plain Exception
        raise ArgumentError(f"data.tokenizer: {file}: is not a tokenizers file: {error}") from error
    backend.no_truncation()
    backend.no_padding()
    return backend


def _byte_tokenizer() -> str:
    """Return a tokenizers file without merges: byte b, in the letters of byte-level BPE, has id b."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    letters |= {byte: chr(0x100 + place) for place, byte in enumerate(others)}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    end = {"id": 256, "content": END_OF_BYTES, "single_word": False, "lstrip": False, "rstrip": False}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{**end, "normalized": False, "special": True}],
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "vocab": {letters[byte]: byte for byte in range(256)} | {END_OF_BYTES: 256},
            "merges": [],
        },
    }
    return json.dumps(document, ensure_ascii=False) + "\n"
