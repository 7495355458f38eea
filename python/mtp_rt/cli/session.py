"""What the commands that run a model share: checked options, an open model, the text of the prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from mtp_rt.llm import LLM
    from mtp_rt.sampling_params import SamplingParams


def sampling_params(**fields: Any) -> SamplingParams:
    """Return SamplingParams; a field out of its range is a usage error."""
    from mtp_rt.errors import ArgumentError
    from mtp_rt.sampling_params import SamplingParams

    try:
        return SamplingParams(**fields)
    except ArgumentError as error:
        raise typer.BadParameter(str(error)) from None


def open_llm(model: str | None, **settings: Any) -> LLM:
    """Return the model, with progress on stderr while it is fetched; `settings` are those of LLM."""
    from mtp_rt.cli.progress import show_progress
    from mtp_rt.llm import LLM

    with show_progress() as progress:
        return LLM(model, progress=progress, **settings)


def read_stdin() -> str:
    """Return what was piped in, without the newline that ends it."""
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"the input is not UTF-8 (byte {error.start}): convert it first") from None


def read_prompt(prompt: str | None) -> str:
    """Return the prompt: the argument, or stdin for "-" and where something is piped in."""
    if prompt is None and sys.stdin.isatty():
        raise typer.BadParameter("give a prompt, or pipe one in", param_hint="PROMPT")
    text = read_stdin() if prompt is None or prompt == "-" else prompt
    if not text:
        raise typer.BadParameter("the prompt is empty", param_hint="PROMPT")
    return text
