"""What the commands that measure a model share: prompts as ids, an engine with enough room, the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mtp_rt.cli import options, output

if TYPE_CHECKING:
    from mtp_rt import _core
    from mtp_rt.bench.prompts import Item

SPARE_TOKENS = 16  # drafts may reach beyond the last token

Prompts = Annotated[
    Path | None,
    options.option(
        "--prompts",
        metavar="FILE.jsonl",
        help='JSON lines with "prompt" or "messages", and "source" to report by. Default: built-in ones.',
    ),
]


def resolve(model: str | None, progress: Any) -> tuple[str, Path]:
    """Return the model's name and directory, fetched first if need be."""
    from mtp_rt import hub

    name = model or hub.DEFAULT_MODEL
    return name, Path(hub.resolve_model(name, progress=progress))


def open_engine(
    folder: Path,
    tokens: int,
    *,
    engine: str,
    provider: str,
    isa: str | None,
    threads: int | None,
    slots: int = 1,
) -> _core.Engine:
    """Return the model with room for `tokens` tokens in each slot, or for as many as it allows."""
    from mtp_rt import engines
    from mtp_rt.model_dir import read_model_dir

    context = min(read_model_dir(folder).config.context, tokens)
    return engines.open_engine(
        folder, engine, provider=provider, isa=isa, threads=threads, slots=slots, context=context
    )


def encoded(file: Path | None, folder: Path, raw: bool) -> list[Item]:
    """Return the prompts as ids; the chat template is applied where there is one, unless raw."""
    from mtp_rt.bench.prompts import Item, built_in, read
    from mtp_rt.tokenizer import Tokenizer

    prompts = built_in() if file is None else read(file)
    tokenizer = Tokenizer.load(folder)
    if raw or not tokenizer.has_chat_template:
        return [Item(prompt.source, tokenizer.encode(prompt.plain())) for prompt in prompts]
    return [Item(prompt.source, tokenizer.encode_chat(prompt.conversation())) for prompt in prompts]


def room(items: list[Item], max_tokens: int) -> int:
    """Return how many tokens a slot needs for the longest prompt and its answer."""
    return max(len(item.tokens) for item in items) + max_tokens + SPARE_TOKENS


def show(result: dict[str, Any], model: str, json_output: bool, table: Callable[[Any], None]) -> None:
    """Write a result as JSON or as a table, with the model's name and the date."""
    from mtp_rt.bench.measure import today

    result = {**result, "model": model, "date": today()}
    output.write_json(result) if json_output else table(result)
