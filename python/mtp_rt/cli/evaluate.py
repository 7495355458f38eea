"""`mtp-rt evaluate`: how many drafts stand, by source and depth."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mtp_rt.cli import measuring, options, output
from mtp_rt.cli.progress import Progress, show_progress
from mtp_rt.cli.session import sampling_params

if TYPE_CHECKING:
    from mtp_rt import _core
    from mtp_rt.bench import acceptance
    from mtp_rt.bench.prompts import Item
    from mtp_rt.request import DraftSource
    from mtp_rt.sampling_params import SamplingParams

app = options.new_app()

LOOKUP_DRAFTS = 4

EXAMPLES = options.examples(
    "mtp-rt evaluate",
    "mtp-rt evaluate --prompts mtp_bench.jsonl --drafts 4 --json",
    "mtp-rt evaluate --temperature 0.7 --seed 1 --draft-source heads --teacher-forced",
)


Depth = Annotated[
    str,
    options.option(
        "--drafts",
        metavar="K|auto",
        help="Tokens drafted in every step, 1 to 15; auto: one per head, or 4 where the model has none.",
    ),
]
Source = Annotated[
    Literal["auto", "heads", "lookup"],
    options.option(
        "--draft-source",
        help="What drafts: heads or lookup alone, or auto: both in one tree, as in generate.",
    ),
]
TeacherForced = Annotated[
    bool,
    options.option(
        "--teacher-forced",
        help="Let heads draft at every position of the finished texts too, and predict tokens per step from "
        "that.",
    ),
]
Slots = Annotated[
    int, options.option("--slots", min=1, max=64, help="Prompts decoded side by side; changes no figure.")
]


@app.command(epilog=EXAMPLES)
def evaluate(
    *,
    model: options.Model = None,
    prompts: measuring.Prompts = None,
    drafts: Depth = "auto",
    draft_source: Source = "auto",
    max_tokens: options.MaxTokens = 128,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    seed: options.Seed = None,
    ignore_eos: options.IgnoreEos = False,
    teacher_forced: TeacherForced = False,
    slots: Slots = 8,
    engine: options.Engine = "native",
    provider: options.Provider = "cpu",
    isa: options.Isa = None,
    threads: options.Threads = None,
    raw: options.Raw = False,
    json_output: options.Json = False,
) -> None:
    """Count how many drafts stand, by source and depth. Nothing is timed.

    Every step drafts the same number of tokens. alpha k is the chance that draft k stands where those before
    it stood; C k is the share of the steps in which drafts 1 to k all stood. Tokens per step are 1 plus the
    sum of all C.
    """
    params = sampling_params(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        seed=secrets.randbits(32) if seed is None else seed,
        ignore_eos=ignore_eos,
    )
    wanted = options.parse_drafts(drafts)
    if wanted == 0:
        raise typer.BadParameter("must be at least 1: there is nothing to count", param_hint="--drafts")
    with show_progress() as progress:
        name, folder = measuring.resolve(model, progress)
        items = measuring.encoded(prompts, folder, raw)
        room = measuring.room(items, max_tokens)
        loaded = measuring.open_engine(
            folder,
            room,
            engine=engine,
            provider=provider,
            isa=isa,
            threads=threads,
            slots=min(slots, len(items)),
        )
        settings = _settings(loaded.info.extra_heads, params, wanted, draft_source)
        result = _count(loaded, folder, items, settings, teacher_forced=teacher_forced, progress=progress)
    measuring.show(result, name, json_output, show_acceptance)


def _settings(
    heads: int, params: SamplingParams, drafts: int | Literal["auto"], source: DraftSource
) -> acceptance.Settings:
    """Return what to run: drafts as far as the model's heads can look."""
    from mtp_rt.bench import acceptance

    if drafts == "auto":
        drafts = heads if heads and source != "lookup" else LOOKUP_DRAFTS
    return acceptance.Settings(params, drafts, source)


def _count(
    engine: _core.Engine,
    folder: Path,
    items: list[Item],
    settings: acceptance.Settings,
    *,
    teacher_forced: bool,
    progress: Progress,
) -> dict[str, Any]:
    from mtp_rt.bench import acceptance
    from mtp_rt.bench import teacher_forced as forced
    from mtp_rt.model_dir import read_model_dir

    if teacher_forced:
        forced.check(settings)
    end_tokens = read_model_dir(folder).config.eos
    result, answers = acceptance.run(engine, end_tokens, items, settings, progress)
    if teacher_forced:
        result["teacher_forced"] = forced.run(engine, items, answers, settings, progress)
    return {
        **result,
        "drafts": settings.drafts,
        "draft_source": settings.source,
        "temperature": settings.params.temperature,
        "seed": settings.params.seed,
    }


def show_acceptance(result: dict[str, Any]) -> None:
    """Write a line per source, then the means."""
    depth = result["drafts"]
    forced = result.get("teacher_forced")
    rows = [_row(source, figures, forced) for source, figures in result["per_source"].items()]
    rows.append(_row("all", result, {"per_source": {"all": forced}} if forced else None))
    places = range(1, depth + 1)
    output.write_table(
        [
            "source",
            "prompts",
            "tokens",
            "tok/step",
            *(["predicted"] if forced else []),
            *(f"alpha {k}" for k in places),
            *(f"C {k}" for k in places),
        ],
        rows,
    )
    output.write("\n")
    means = [("tokens per step, mean over sources", f"{result['mean_tokens_per_step']:.3f}")]
    if forced:
        predicted = f"{forced['mean_predicted_tokens_per_step']:.3f}"
        means.append(("the same, predicted from every position", predicted))
    drafting = f"{depth} a step from {result['draft_source']}, temperature {result['temperature']:g}"
    output.write_pairs([*means, ("drafts", drafting), ("model", result["model"]), ("date", result["date"])])


def _row(source: str, figures: dict[str, Any], forced: dict[str, Any] | None) -> list[object]:
    predicted = [f"{forced['per_source'][source]['predicted_tokens_per_step']:.2f}"] if forced else []
    shares = [f"{share:.2f}" for share in (*figures["alpha"], *figures["cumulative"])]
    tokens_per_step = f"{figures['tokens_per_step']:.2f}"
    return [source, figures["prompts"], figures["tokens"], tokens_per_step, *predicted, *shares]
