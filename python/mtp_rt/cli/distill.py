"""`mtp-rt distill`: give a pretrained model heads, with nothing but the model itself."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtp_rt.cli import options, output
from mtp_rt.cli.progress import show_progress

if TYPE_CHECKING:
    from mtp_rt.training.distill.fit import Report
    from mtp_rt.training.distill.pipeline import Listener
    from mtp_rt.training.distill.prompts import SuppliedPrompt
    from mtp_rt.training.distill.record import RecordPlan
    from mtp_rt.training.distill.report import TextReport
    from mtp_rt.training.distill.write import WriteSettings

app = options.new_app()

Out = Annotated[Path, typer.Argument(metavar="OUT", help="The run folder; OUT/model is the result.")]
Preset = Annotated[
    str,
    options.option(
        "--preset",
        metavar="NAME",
        help="Which heads: recurrent, tapped, fastmtp, deepseek, eagle3, hydra, medusa, gloeckle, "
        "gloeckle-linear or causal.",
    ),
]
Heads = Annotated[int, options.option("--heads", min=1, max=15, help="Drafts to train.")]
DraftVocab = Annotated[
    int,
    options.option(
        "--draft-vocab",
        min=0,
        help="Tokens that heads can guess, the most frequent of the written text; 0: all of them.",
    ),
]
Start = Annotated[
    str | None,
    options.option(
        "--start",
        metavar="MODEL",
        help="Teach this model's heads further, instead of new ones: a name or a directory, as --model.",
    ),
]
LearningRate = Annotated[
    float,
    options.option("--learning-rate", help="Its peak. Lower suits heads that --start has taught already."),
]
Tokens = Annotated[
    int, options.option("--tokens", min=1, help="Tokens of answers that the model writes to learn from.")
]
Prompts = Annotated[
    Path | None,
    options.option(
        "--prompts",
        metavar="FILE",
        help='Answer these before prompts that the model makes up: JSON lines with "prompt" or "messages".',
    ),
]
PromptsOnly = Annotated[
    bool, options.option("--prompts-only", help="Answer no others: the text ends where --prompts end.")
]
Temperatures = Annotated[
    str,
    options.option(
        "--temperatures",
        metavar="T,T,...",
        help="Temperatures of the answers, taken in turn; 0 is greedy, as most text is served.",
    ),
]
AnswerTokens = Annotated[
    int,
    options.option(
        "--answer-tokens",
        min=16,
        max=4096,
        help="Where answers are cut. Shorter ones make the same amount of text more varied.",
    ),
]
Hours = Annotated[
    float, options.option("--hours", help="Time to train the heads, behind writing and recording.")
]
Resume = Annotated[
    bool, options.option("--resume", help="Go on with the run in OUT: nothing that is done is done again.")
]
Slots = Annotated[int, options.option("--slots", min=1, max=256, help="Dialogues written side by side.")]
Seed = Annotated[int, options.option("--seed", min=0, help="Same seed, same text.")]
ShipVocab = Annotated[
    int | None,
    options.option(
        "--ship-vocab",
        min=32,
        help="Tokens that the finished heads can guess, fewer than --draft-vocab to make them smaller.",
    ),
]
HeadsKind = Annotated[
    options.Kind, options.option("--heads-kind", help="How the heads' matrices are stored.")
]
UnembedKind = Annotated[
    options.Kind, options.option("--unembed-kind", help="How the heads' output matrix is stored.")
]


@app.command(
    epilog=options.examples(
        "mtp-rt distill my-run --hours 1",
        "mtp-rt distill my-run --hours 2 --resume     train on, longer",
        "mtp-rt distill my-run --model ./my-model --prompts questions.jsonl",
        "mtp-rt distill my-run --start smollm2-135m-mtp --learning-rate 1e-3     teach heads further",
        "mtp-rt generate --model my-run/model hello",
    )
)
def distill(
    out: Out,
    *,
    model: options.Model = None,
    preset: Preset = "recurrent",
    heads: Heads = 4,
    draft_vocab: DraftVocab = 16384,
    start: Start = None,
    learning_rate: LearningRate = 2e-3,
    tokens: Tokens = 1_000_000,
    prompts: Prompts = None,
    prompts_only: PromptsOnly = False,
    temperatures: Temperatures = "0,0.7,0,1",
    answer_tokens: AnswerTokens = 256,
    hours: Hours = 1.0,
    resume: Resume = False,
    slots: Slots = 32,
    seed: Seed = 0,
    threads: options.Threads = None,
    heads_kind: HeadsKind = "q4",
    unembed_kind: UnembedKind = "q8",
    ship_vocab: ShipVocab = None,
    json_output: options.Json = False,
) -> None:
    """Teach a model to guess ahead of itself.

    Three stages, each of which goes on where it stopped: the model writes dialogues (no data set is needed),
    what it thinks at every token is recorded, and small heads learn from that to guess its next tokens. The
    model itself stays as it is: with heads it says the same, sooner. OUT/model is the model with its heads,
    OUT/package the heads alone; OUT/heads/curves.png shows how training went.
    """
    from mtp_rt import hub

    _require_torch()
    from mtp_rt.training.distill.export import HeadKinds
    from mtp_rt.training.distill.fit_config import FitConfig
    from mtp_rt.training.distill.pipeline import Wishes, check_wishes, open_run
    from mtp_rt.training.distill.pipeline import distill as run_distill

    count, supplied = threads or 0, _supplied(prompts, prompts_only)
    config = FitConfig(preset, heads, draft_vocab=draft_vocab or None, hours=hours, seed=seed, threads=count)
    config = replace(config, learning_rate=learning_rate)
    kinds = HeadKinds(heads_kind, unembed_kind)
    text = _text_settings(seed, temperatures, answer_tokens)
    with show_progress() as progress:
        model_dir = hub.resolve_model(model or hub.DEFAULT_MODEL, progress=progress)
        if start is not None:
            config = replace(config, start=str(hub.resolve_model(start, progress=progress)))
        wishes = Wishes(config, text, tokens, supplied, prompts_only, slots, count, kinds, ship_vocab)
        check_wishes(model_dir, wishes)
        run = open_run(out, model_dir, resume=resume)
        summary = run_distill(run, model_dir, wishes, _listener(progress))
    if json_output:
        output.write_json(summary)
    else:
        output.write(f"{summary['model']}  {summary['tokens_per_step']:.2f} tokens per step\n")


def _listener(progress: Any) -> Listener:
    from mtp_rt.training.distill.pipeline import Listener

    def text(report: TextReport) -> None:
        output.note(f"text: {report.answer_tokens:,} answer tokens in {report.dialogues:,} dialogues")

    def plan(plan: RecordPlan) -> None:
        size, free = plan.bytes / 1e9, plan.free_bytes / 1e9
        output.note(f"to record: {plan.rows:,} tokens, {size:.2f} GB; {free:.1f} GB are free")

    def fit(report: Report) -> None:
        alpha = " ".join(f"{chance:.2f}" for chance in report.dev.alpha)
        output.note(
            f"fit: {report.seconds / 60:.0f} min, {report.visits:,} slots seen, drafts stand {alpha}, "
            f"{report.dev.tokens_per_step:.2f} tokens per step; "
            f"the draft vocabulary covers {report.coverage:.1%}"
        )

    return Listener(progress, text, plan, fit, output.note)


def _require_torch() -> None:
    from mtp_rt.errors import UnsupportedError

    if importlib.util.find_spec("torch") is None:
        raise UnsupportedError("distill trains with PyTorch, which is not here: pip install 'mtp-rt[train]'")


def _text_settings(seed: int, temperatures: str, answer_tokens: int) -> WriteSettings:
    from mtp_rt.errors import ArgumentError
    from mtp_rt.training.distill.write import WriteSettings

    try:
        taken = tuple(float(part) for part in temperatures.split(","))
    except ValueError:
        raise ArgumentError(
            f"--temperatures: {temperatures!r} is not numbers with commas between them"
        ) from None
    return WriteSettings(seed, answer_temperatures=taken, max_answer_tokens=answer_tokens)


def _supplied(path: Path | None, only: bool = False) -> list[SuppliedPrompt] | None:
    from mtp_rt.bench.prompts import read
    from mtp_rt.errors import ArgumentError
    from mtp_rt.training.distill.prompts import SuppliedPrompt

    if path is not None:
        return [SuppliedPrompt(prompt.source, tuple(prompt.conversation())) for prompt in read(path)]
    if only:
        raise ArgumentError("--prompts-only needs --prompts FILE")
    return None
