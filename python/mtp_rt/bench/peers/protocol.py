"""What a benchmark and the process of a peer say to each other: one JSON object per line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mtp_rt.request import Drafts


@dataclass(frozen=True)
class Setup:
    """What a process is started with.

    Attributes:
        adapter: A name of `ADAPTERS`.
        path: The model in the form that the adapter's `prepare` returned.
        threads: Threads to compute with.
        context: Tokens of prompt and answer together, at most.
        drafts: "auto" or a number; only our own adapter drafts, peers run plain.
        engine: What our own adapter runs the model with; beside one on a GPU peers compute there, too.
        provider: Where engine "onnxruntime" runs.
    """

    adapter: str
    path: str
    threads: int
    context: int
    drafts: Drafts = 0
    engine: str = "native"
    provider: str = "cpu"


@dataclass(frozen=True)
class Ready:
    """The first line a process sends.

    Attributes:
        version: Of the system.
        settings: What it runs with.
        load_seconds: From the start of loading until ready; imports are not part of it.
    """

    version: str
    settings: dict[str, Any]
    load_seconds: float


@dataclass(frozen=True)
class Work:
    """One request: decode `max_tokens` tokens after `prompt`."""

    prompt: list[int]
    max_tokens: int


@dataclass(frozen=True)
class Run:
    """The answer to one request, timed inside the process that did the work.

    Attributes:
        tokens: The decoded token ids.
        prefill_seconds: From handing over the prompt until the first token is known.
        decode_seconds: From then until the last token is known.
        steps: Model calls after the prompt; plain decoding takes one per token after the first.
        peak_bytes: Largest resident size of the process so far.
    """

    tokens: list[int]
    prefill_seconds: float
    decode_seconds: float
    steps: int
    peak_bytes: int = 0


def to_json(message: Setup | Ready | Work | Run) -> dict[str, Any]:
    """Return a message as JSON values."""
    return asdict(message)
