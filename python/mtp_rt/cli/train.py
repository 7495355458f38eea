"""`mtp-rt train`: a model that predicts several tokens at once, from scratch."""

from __future__ import annotations

import importlib.util
import shlex
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

_TASK = "task:"

Config = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="A TOML or YAML file (docs/training.md), or task:path_star, task:induction: experiments.",
    ),
]
Out = Annotated[
    Path | None,
    options.option(
        "--out", metavar="DIR", help="The run folder. Default: runs/NAME for NAME.toml or task:NAME."
    ),
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
        "mtp-rt train task:path_star --set task.objective=mtp",
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
    model directory that `generate` runs with its heads, written with every evaluation; OUT/curves.png shows
    how training went. On SIGTERM the run writes a checkpoint and ends with status 0.
    """
    from mtp_rt.errors import UnsupportedError

    if importlib.util.find_spec("torch") is None:
        raise UnsupportedError("train works with PyTorch, which is not here: pip install 'mtp-rt[train]'")
    folder = out or Path("runs") / Path(config.removeprefix(_TASK)).stem
    if config.startswith(_TASK):
        _experiment(config.removeprefix(_TASK), folder, changes or [], resume, json_output)
        return
    from mtp_rt.training.pretrain.run import Listener
    from mtp_rt.training.pretrain.run import train as run

    settings = _settings(Path(config), changes or [])
    with show_progress() as progress:
        summary = run(settings, folder, resume=resume, listener=Listener(_tell, progress, _stop_on_sigterm))
    kept = [part for change in changes or [] for part in ("--set", change)]
    again = shlex.join(["mtp-rt", "train", config, "--out", str(folder), *kept, "--resume"])
    if not summary["finished"]:
        output.note(f"stopped at step {summary['step']} of {settings.training.steps}; go on with: {again}")
    if json_output:
        output.write_json(summary | {"resume": None if summary["finished"] else again})
    elif summary["finished"]:
        output.write(_in_words(summary))


def _settings(path: Path, changes: list[str]) -> TrainConfig:
    from mtp_rt.training.pretrain.config import TrainConfig
    from mtp_rt.training.pretrain.config_file import read_config
    from mtp_rt.training.pretrain.settings import build, override

    return build(TrainConfig, override(read_config(path), changes), str(path))


def _experiment(name: str, out: Path, changes: list[str], resume: bool, json_output: bool) -> None:
    from mtp_rt.tasks.experiment import run_experiment
    from mtp_rt.tasks.registry import open_task
    from mtp_rt.training.pretrain.settings import override

    def tell(seed: int, step: int, scores: dict[str, float]) -> None:
        said = ", ".join(f"{what} {share:.1%}" for what, share in scores.items())
        output.note(f"seed {seed}, step {step:,}: {said}")

    task, fit = open_task(name, override({}, changes))
    results = run_experiment(task, fit, out, resume=resume, report=tell)
    if json_output:
        output.write_json(results)
    else:
        names = [name for name in results["seeds"][0] if name != "curve"]
        output.write_table(names, [[f"{seed[name]:.4g}" for name in names] for seed in results["seeds"]])


def _stop_on_sigterm(trainer: Trainer) -> None:
    signal.signal(signal.SIGTERM, lambda *_: trainer.stop())


def _tell(report: Report) -> None:
    losses = " ".join(f"{loss:.3f}" for loss in report.dev.losses)
    rate = report.tokens / max(report.seconds, 1e-9)
    output.note(
        f"step {report.step:,}: {report.tokens:,} tokens, {rate:,.0f} a second; held-out losses by tokens "
        f"ahead {losses} nats; next token {report.dev.accuracy[0]:.1%} right, "
        f"{report.dev.bits_per_byte[0]:.3f} bits per byte{_reach(report.tokens_per_step)}"
    )


def _in_words(summary: dict[str, Any]) -> str:
    quality = f"{summary['bits_per_byte'][0]:.3f} bits per byte"
    if summary["model"] is None:
        return f"{summary['out']}  {quality} (this kind trains and evaluates only)\n"
    return f"{summary['model']}  {quality}{_reach(summary['tokens_per_step'])}\n"


def _reach(tokens_per_step: float | None) -> str:
    return "" if tokens_per_step is None else f", {tokens_per_step:.2f} tokens per step"
