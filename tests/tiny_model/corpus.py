"""The tiny model's training text: source files and docstring questions of the Python standard library.

The files are named with their SHA-256 in corpus.json, so the text is the same on every machine or refused.
Licence of the text: PSF-2.0.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

CORPUS_LIST = Path(__file__).with_name("corpus.json")

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)  # ids 0, 1, 2

# Kept short: tests render it with every conversation.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def read_files(library: Path | None = None) -> dict[str, str]:
    """Return the text of every file in corpus.json, in its order.

    Raises:
        ValueError: a file is not the listed one; the message names it and the Python version to use.
    """
    listing = json.loads(CORPUS_LIST.read_text(encoding="utf-8"))
    root = library or Path(sysconfig.get_path("stdlib"))
    texts = {}
    for name, digest in listing["files"].items():
        data = (root / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{root / name} differs from the listed file: use Python {listing['python']}")
        texts[name] = data.decode("utf-8")
    return texts


def with_tabs(text: str) -> str:
    """Return `text` with every four spaces of indentation as a tab: a vocabulary of 512 has better uses."""
    return re.sub(r"^(?: {4})+", lambda indent: "\t" * (len(indent[0]) // 4), text, flags=re.MULTILINE)


def documents(texts: dict[str, str]) -> list[str]:
    """Return the training documents: each file, then each documented definition as a two-turn chat."""
    sources = [with_tabs(text) + END_OF_TEXT for text in texts.values()]
    chats = [with_tabs(chat) for text in texts.values() for chat in docstring_chats(text)]
    return sources + chats


def docstring_chats(source: str) -> Iterator[str]:
    """Yield "What does NAME do?", answered by the first paragraph of NAME's docstring."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        doc = ast.get_docstring(node)
        if doc:
            answer = inspect.cleandoc(doc).split("\n\n")[0]
            yield (
                f"{TURN_START}user\nWhat does {node.name} do?{TURN_END}\n"
                f"{TURN_START}assistant\n{answer}{TURN_END}\n{END_OF_TEXT}"
            )
