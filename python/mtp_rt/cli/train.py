"""`mtp-rt train`: a model that predicts several tokens at once, from scratch."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtp_rt.cli import options, output
from mtp_rt.cli.progress import show_progress

if TYPE_CHECKING:
    from mtp_rt.training.pretrain.config import TrainConfig
    from mtp_rt.training.pretrain.trainer import Report, Trainer

app = options.new_app()

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file (docs/training.md).")]
Out = Annotated[
    Path | None,
    options.option("--out", metavar="DIR", help="The run folder. Default: runs/NAME for a config NAME.toml."),
]
Set = Annotated[
    list[str] | None,
    options.option(
        "--set", metavar="NAME=VALUE", help="Change a field of the config; may be given several times."
    ),
]
Resume = Annotated[
    bool, options.option("--resume", help="Go on with the run in the folder, as if it had not been cut off.")
]


@app.command(
    epilog=options.examples(
        "mtp-rt train code.toml",
        "mtp-rt train code.toml --set training.steps=20000 --set heads.n=8",
        "mtp-rt train code.toml --resume     go on after a break, or for more steps",
        "mtp-rt generate --model runs/code/model 'def fibonacci('",
    )
)
def train(
    config: Config,
    *,
    out: Out = None,
    changes: Set = None,
    resume: Resume = False,
    json_output: options.Json = False,
) -> None:
    """Train a model from scratch to predict several tokens at once.

    A trunk and its heads learn together, each head from the token it will guess. OUT/model is the result, a
    model directory that `generate` runs with its heads; OUT/curves.png shows how training went. On SIGTERM
    the run writes a checkpoint and ends with status 0.
    """
    from mtp_rt.errors import UnsupportedError

    if importlib.util.find_spec("torch") is None:
        raise UnsupportedError("train works with PyTorch, which is not here: pip install 'mtp-rt[train]'")
    from mtp_rt.training.pretrain.run import Listener
    from mtp_rt.training.pretrain.run import train as run

    settings = _settings(config, changes or [])
    folder = out or Path("runs") / config.stem
    with show_progress() as progress:
        summary = run(settings, folder, resume=resume, listener=Listener(_tell, progress, _stop_on_sigterm))
    again = f"mtp-rt train {config} --out {folder} --resume"
    if not summary["finished"]:
        output.note(f"stopped at step {summary['step']} of {settings.training.steps}; go on with: {again}")
    if json_output:
        output.write_json(summary | {"resume": None if summary["finished"] else again})
    elif summary["finished"]:
        output.write(_in_words(summary))


def _settings(path: Path, changes: list[str]) -> TrainConfig:
    from mtp_rt.training.pretrain.config import TrainConfig
    from mtp_rt.training.pretrain.settings import build, override, read_toml

    return build(TrainConfig, override(read_toml(path), changes), str(path))


def _stop_on_sigterm(trainer: Trainer) -> None:
    signal.signal(signal.SIGTERM, lambda *_: trainer.stop())


def _tell(report: Report) -> None:
    losses = " ".join(f"{loss:.3f}" for loss in report.dev.losses)
    rate = report.tokens / max(report.seconds, 1e-9)
    output.note(
        f"step {report.step:,}: {report.tokens:,} tokens, {rate:,.0f} a second; held-out losses by tokens "
        f"ahead {losses} nats; next token {report.dev.accuracy[0]:.1%} right, "
        f"{report.dev.bits_per_byte[0]:.3f} bits per byte"
    )


def _in_words(summary: dict[str, Any]) -> str:
    quality = f"{summary['bits_per_byte'][0]:.3f} bits per byte"
    if summary["model"] is None:
        return f"{summary['out']}  {quality} (an anticausal chain: no model to run)\n"
    drafts = summary["tokens_per_step"]
    reach = "" if drafts is None else f"  {drafts:.2f} tokens per step on held-out text"
    return f"{summary['model']}  {quality}{reach}\n"
