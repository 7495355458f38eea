"""`mtp-rt pull`: fetch a model before it is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from mtp_rt.cli import options, output
from mtp_rt.cli.progress import show_progress

app = options.new_app()


@app.command(epilog=options.examples("mtp-rt pull smollm2-135m-instruct", "mtp-rt pull --force --json NAME"))
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A known model: see `mtp-rt models`.")],
    *,
    force: Annotated[
        bool,
        options.option("--force", help="Fetch it again; the old one stays until the new one is complete."),
    ] = False,
    json_output: options.Json = False,
) -> None:
    """Fetch a known model into the cache and convert it. What is already there is not fetched again."""
    from mtp_rt import hub

    with show_progress() as progress:
        path = hub.pull(name, progress=progress, force=force)
    if json_output:
        output.write_json({"name": name, "path": str(path)})
    else:
        output.write(f"{path}\n")
