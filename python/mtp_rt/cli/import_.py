"""`mtp-rt import`: a GGUF file or a Hugging Face folder becomes a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtp_rt.cli import options, output
from mtp_rt.cli.progress import show_progress

app = options.new_app()


@app.command(
    epilog=options.examples(
        "mtp-rt import SmolLM2-135M-Instruct.Q4_1.gguf my-model",
        "mtp-rt import ./hugging-face-folder my-model --quantize q4 --lm-head q8",
        "mtp-rt generate --model ./my-model hello",
    )
)
def import_model(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="A GGUF file or a Hugging Face folder (Llama).")
    ],
    target: options.Target,
    *,
    quantize: Annotated[
        options.Kind | None,
        options.option("--quantize", help="How the layers' weights are stored. Default: as they are."),
    ] = None,
    lm_head: Annotated[
        options.Kind | None,
        options.option("--lm-head", help="How the output matrix is stored. Default: as it is."),
    ] = None,
    two_stage_head: Annotated[
        bool | None,
        options.option(
            "--two-stage-head/--no-two-stage-head",
            help="Score the vocabulary coarsely, then the best tokens exactly (q8 output matrix only).",
        ),
    ] = None,
    force: options.Force = False,
    json_output: options.Json = False,
) -> None:
    """Convert a model. OUT appears complete or not at all; the source is only read."""
    from mtp_rt.convert.gguf_import import import_gguf
    from mtp_rt.convert.hf_import import import_hf
    from mtp_rt.errors import ModelNotFoundError
    from mtp_rt.model_dir import describe

    if not source.exists():
        raise ModelNotFoundError(f"{source}: there is no such file or folder")
    convert = import_hf if source.is_dir() else import_gguf
    with show_progress() as progress:
        convert(
            source,
            target,
            quantize=quantize,
            lm_head=lm_head,
            two_stage_head=two_stage_head,
            replace=force,
            progress=progress,
        )
    if json_output:
        output.write_json(describe(target))
    else:
        output.write(f"{target}\n")
