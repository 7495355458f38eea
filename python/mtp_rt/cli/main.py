"""The `mtp-rt` command: finds the sub-command, and turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

# Command and the module under mtp_rt.cli whose `app` holds it; imported when called.
COMMANDS = {
    "generate": "generate",
    "chat": "chat",
    "bench": "bench",
    "evaluate": "evaluate",
    "models": "models",
    "pull": "pull",
    "import": "import_",
    "export": "export",
    "distill": "distill",
    "train": "train",
    "inspect": "inspect",
    "env": "env",
}


class _Commands(TyperGroup):
    """A group whose commands are imported on demand."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mtp_rt.cli.{COMMANDS[cmd_name]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Commands,
    name="mtp-rt",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from mtp_rt import __version__

        typer.echo(f"mtp-rt {__version__}")
        raise typer.Exit


@app.callback(epilog='Start with:  mtp-rt generate "Explain why the sky is blue."')
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run language models that predict several tokens per step: the same text, sooner.

    The first use of a model fetches it into the cache. Every option can also be set as an environment
    variable, which each command's help names. Errors go to stderr; exit codes are 0 (done), 1 (failed) and
    2 (wrong usage).
    """


def main() -> None:
    """Run the command line. Leaves by SystemExit: 0 done, 1 error, 2 usage, 130 interrupted."""
    from mtp_rt.errors import Error

    try:
        app(prog_name="mtp-rt")
    except Error as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output is gone. Python flushes stdout once more at its end: give it a place to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
    except MemoryError:
        _fail("out of memory: a smaller --context or a smaller model needs less")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
