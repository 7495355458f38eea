"""The options that commands share: one name, environment variable and help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

DraftSource = Literal["auto", "heads", "lookup", "none"]
Kind = Literal["f32", "bf16", "q8", "q4"]  # of stored matrices


def new_app(help: str | None = None) -> typer.Typer:
    """Return the app that a command module fills: plain help text, no completion options."""
    return typer.Typer(
        help=help,
        add_completion=False,
        no_args_is_help=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )


def examples(*lines: str) -> str:
    """Return the epilog that ends a command's help: these lines as they stand."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def option(*names: str, help: str, **settings: Any) -> Any:
    """Return a typer option that is also read from MTP_RT_<FIRST LONG NAME>."""
    long = next(name for name in names if name.startswith("--"))
    variable = "MTP_RT_" + long.split("/")[0].removeprefix("--").upper().replace("-", "_")
    return typer.Option(*names, envvar=variable, help=help, **settings)


def numbers(value: str, name: str) -> tuple[int, ...]:
    """Return the numbers of a list like 1,4,16; anything but positive integers is a usage error."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 2**31 for part in parts):
        raise typer.BadParameter(f"must be positive numbers like 1,4,16, got {value!r}", param_hint=name)
    return tuple(dict.fromkeys(int(part) for part in parts))


def parse_drafts(value: str) -> int | Literal["auto"]:
    """Return the meaning of `--drafts`: "auto" or 0 .. 15."""
    if value == "auto":
        return "auto"
    if value.isascii() and value.isdigit() and int(value) <= 15:
        return int(value)
    raise typer.BadParameter(f"must be auto or a number from 0 to 15, got {value!r}", param_hint="--drafts")


Model = Annotated[
    str | None,
    option(
        "--model",
        "-m",
        metavar="NAME|DIR",
        help="A known model (see `mtp-rt models`), fetched on first use, or a model directory. "
        "Default: the best model we ship.",
    ),
]
Json = Annotated[bool, option("--json", help="Print one JSON object on stdout instead of text.")]

Engine = Annotated[
    str,
    option(
        "--engine",
        metavar="NAME",
        help="What runs the model: native, onnxruntime for a directory with exported graphs, or tensorrt for "
        "one with plans, on a GPU.",
    ),
]
Provider = Annotated[
    str,
    option(
        "--provider", metavar="NAME", help="Where engine onnxruntime runs: cpu, or cuda on an NVIDIA GPU."
    ),
]
Isa = Annotated[
    str | None,
    option("--isa", metavar="NAME", help="Instruction set: generic, avx2 or avx512_vnni. Default: the best."),
]
Threads = Annotated[
    int | None, option("--threads", "-t", min=1, max=256, help="Threads. Default: one per available core.")
]
Context = Annotated[
    int | None,
    option("--context", min=1, help="Tokens of prompt and answer together. Default: what the model allows."),
]
Drafts = Annotated[
    str,
    option(
        "--drafts",
        metavar="N|auto",
        help="Tokens guessed ahead per step, 0 to 15 (0: plain decoding), or auto: as many as pay off. "
        "Changes the speed, never the text.",
    ),
]
Source = Annotated[
    DraftSource,
    option(
        "--draft-source",
        help="Where guesses come from: lookup repeats what followed these words before, heads are trained; "
        "auto joins both in one tree.",
    ),
]

MaxTokens = Annotated[int, option("--max-tokens", "-n", help="Tokens to write at most.")]
Temperature = Annotated[
    float, option("--temperature", "--temp", help="0 takes the most likely token; higher varies more.")
]
TopK = Annotated[int, option("--top-k", help="Choose among this many tokens; 0: all.")]
TopP = Annotated[float, option("--top-p", help="Choose among the likeliest tokens up to this probability.")]
MinP = Annotated[
    float, option("--min-p", help="Leave out tokens below this share of the likeliest one's probability.")
]
Seed = Annotated[int | None, option("--seed", help="Same seed, same text. Default: a new one each time.")]
Stop = Annotated[
    list[str] | None,
    option("--stop", metavar="TEXT", help="End the text before this string; may be given several times."),
]
IgnoreEos = Annotated[bool, option("--ignore-eos", help="Do not stop at the model's end token.")]
Raw = Annotated[bool, option("--raw", help="Continue the prompt as it stands, without the chat template.")]

Target = Annotated[Path, typer.Argument(metavar="OUT", help="The model directory to write.")]
Force = Annotated[
    bool, option("--force", help="Replace OUT if it is not empty, once the new one is complete.")
]
