"""`mtp-rt export`: a model directory with ONNX graphs, or with weights of other kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtp_rt.cli import options, output
from mtp_rt.cli.progress import show_progress

if TYPE_CHECKING:
    from mtp_rt.export.exporter import TensorRtOptions

app = options.new_app()

Opset = Annotated[
    int | None,
    options.option(
        "--opset",
        help="Of the graphs: 24, or 21 for runtimes that lack its operators. Default: 24.",
    ),
]
Plans = Annotated[
    bool,
    options.option("--tensorrt", help="Add TensorRT plans of trunk and drafts (needs mtp-rt[tensorrt])."),
]
PlanContexts = Annotated[
    str | None,
    options.option(
        "--tensorrt-contexts",
        metavar="N,...",
        help="Positions of a sequence; each makes plans of its own. Default: the model's, at most 2048.",
    ),
]
PlanBatch = Annotated[
    int | None,
    options.option("--tensorrt-batch", help="Sequences of a decoding step, at most. Default: 4."),
]
PlanLibrary = Annotated[
    str | None,
    options.option(
        "--tensorrt-library",
        metavar="NAME",
        help="tensorrt_rtx, which needs no GPU, or tensorrt, which builds for this machine's. "
        "Default: what fits.",
    ),
]


@app.command(
    epilog=options.examples(
        "mtp-rt export smollm2-135m-instruct exported --onnx",
        "mtp-rt export ./my-model ./my-model --onnx --force",
        "mtp-rt export smollm2-135m-mtp older --onnx --opset 21",
        "mtp-rt export ./my-model small --quantize q4 --lm-head q8 --onnx",
        "mtp-rt export smollm2-135m-mtp plans --tensorrt --tensorrt-contexts 1024,4096",
    )
)
def export_model(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A model directory, or a known model (see `mtp-rt models`).")
    ],
    target: options.Target,
    *,
    onnx: Annotated[
        bool, options.option("--onnx", help="Add ONNX graphs: trunk, drafts, and all heads in one.")
    ] = False,
    opset: Opset = None,
    tensorrt: Plans = False,
    tensorrt_contexts: PlanContexts = None,
    tensorrt_batch: PlanBatch = None,
    tensorrt_library: PlanLibrary = None,
    quantize: Annotated[
        options.Kind | None,
        options.option("--quantize", help="How layers and heads are stored. Default: as they are."),
    ] = None,
    lm_head: Annotated[
        options.Kind | None,
        options.option(
            "--lm-head", help="How embedding and output matrices are stored. Default: as they are."
        ),
    ] = None,
    symmetric: Annotated[
        bool,
        options.option(
            "--symmetric",
            help="Give q4 matrices blocks around 0: a little less exact, and sooner in ONNX Runtime.",
        ),
    ] = False,
    force: options.Force = False,
    json_output: options.Json = False,
) -> None:
    """Write a model directory for other uses. OUT appears complete or not at all; weights are stored once."""
    from mtp_rt import hub
    from mtp_rt.export import exporter

    plans = _plan_options(
        tensorrt, tensorrt_contexts, tensorrt_batch, tensorrt_library, hub.cache_root() / "tensorrt"
    )
    with show_progress() as progress:
        folder = hub.resolve_model(source, progress)
        exporter.export_model(
            folder,
            target,
            onnx=onnx,
            opset=_opset(onnx, opset),
            tensorrt=plans,
            quantize=quantize,
            lm_head=lm_head,
            symmetric=symmetric,
            replace=force,
            progress=progress,
        )
    if json_output:
        output.write_json(_report(target, onnx) | ({"tensorrt": _plans_record(target)} if tensorrt else {}))
    else:
        output.write(f"{target}\n")


def _opset(onnx: bool, wanted: int | None) -> int:
    from mtp_rt.export.exporter import OPSETS

    if wanted is None:
        return OPSETS[0]
    if not onnx:
        raise typer.BadParameter("is for graphs; add --onnx", param_hint="--opset")
    return wanted


def _plan_options(
    wanted: bool, contexts: str | None, batch: int | None, library: str | None, timings: Path
) -> TensorRtOptions | None:
    """Return what plans are made for, None where none are wanted; options that nothing heeds are refused."""
    from mtp_rt.export.exporter import TensorRtOptions

    given = {"--tensorrt-contexts": contexts, "--tensorrt-batch": batch, "--tensorrt-library": library}
    if not wanted:
        if unheeded := [name for name, value in given.items() if value is not None]:
            raise typer.BadParameter("is for plans; add --tensorrt", param_hint=unheeded[0])
        return None
    numbers = None if contexts is None else options.numbers(contexts, "--tensorrt-contexts")
    return TensorRtOptions(numbers, batch, library, timings)


def _report(target: Path, onnx: bool) -> dict[str, Any]:
    """Return what was written: bytes of every file, and of each graph what it takes, gives and points to."""
    from mtp_rt.model_dir import read_model_dir

    graphs: dict[str, Any] = {}
    if onnx:
        from mtp_rt.export.check import check_files

        for name, facts in check_files(target).items():
            graphs[name] = {
                "inputs": list(facts.inputs),
                "outputs": list(facts.outputs),
                "embedded_bytes": facts.embedded_bytes,
                "weights": len(facts.weights),
            }
    return {
        "path": str(target),
        "files": {path.name: path.stat().st_size for path in sorted(target.iterdir())},
        "tensors": len(read_model_dir(target).tensors),
        "graphs": graphs,
    }


def _plans_record(target: Path) -> Any:
    from mtp_rt.model_dir.writer import PLANS_RECORD

    return json.loads((target / PLANS_RECORD).read_bytes())
