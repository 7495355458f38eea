"""What a model is asked: openings that steer it, splits, and the prompts that must never be trained on."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

OPENINGS_FILE = "openings.json"
EVALUATION_FILE = "evaluation_hashes.txt"
HELD_OUT_BUCKET = 0
DEV_BUCKET = 1
BUCKETS = 10


@dataclass(frozen=True)
class SuppliedPrompt:
    """A prompt that a user brings along.

    Attributes:
        source: What kind of text it is.
        messages: The conversation, {"role", "content"} each.
    """

    source: str
    messages: tuple[Mapping[str, Any], ...]

    @property
    def text(self) -> str:
        """The contents of the messages, a line each."""
        return "\n".join(str(message["content"]) for message in self.messages)


def normalised(text: str) -> str:
    """Return `text` in the form whose hash names a prompt: lower case, runs of white space as one space."""
    return " ".join(text.lower().split())


def prompt_hash(text: str) -> str:
    """Return the name of a prompt: the first 16 hexadecimal digits of its normalised text's SHA-256."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def split_of(text: str) -> str:
    """Return the split of a prompt, by the SHA-256 of its text modulo 10: 0 held_out, 1 dev, others train."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    bucket = int.from_bytes(digest, "big") % BUCKETS
    return {HELD_OUT_BUCKET: "held_out", DEV_BUCKET: "dev"}.get(bucket, "train")


@cache
def evaluation_hashes() -> frozenset[str]:
    """Return the hashes of the evaluation prompts, as committed."""
    text = resources.files(__package__).joinpath(EVALUATION_FILE).read_text(encoding="ascii")
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def is_evaluation(text: str) -> bool:
    """Whether `text` is an evaluation prompt, or one of its paragraphs or lines is."""
    parts = {text, *text.split("\n\n"), *text.splitlines()}
    return not evaluation_hashes().isdisjoint(map(prompt_hash, parts))


def opening(choice: random.Random, share: float) -> tuple[str, str]:
    """Return (source, beginning of a user turn); the beginning is empty where the model is to choose.

    Args:
        choice: Where randomness comes from.
        share: Part of the turns that get an opening, 0 .. 1.
    """
    openings, slots = _openings()
    if choice.random() >= share:
        return "free", ""
    source = choice.choice(sorted(openings))
    words = {slot: choice.choice(values) for slot, values in slots.items()}
    return source, choice.choice(openings[source]).format(**words)


@cache
def _openings() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    text = resources.files(__package__).joinpath(OPENINGS_FILE).read_text(encoding="utf-8")
    document = json.loads(text)
    return document["openings"], document["slots"]
