"""The options of every command against the committed list: a change of the surface shows in review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from mtp_rt.cli import main

EXPECTED = Path(__file__).with_name("options.txt")


def commands() -> dict[str, Any]:
    """Every command by its full name, sub-commands as "bench decode"."""
    group: Any = typer.main.get_command(main.app)
    found = {}
    for name in main.COMMANDS:
        command = group.get_command(None, name)
        children = getattr(command, "commands", None)
        found |= {f"{name} {child}": sub for child, sub in children.items()} if children else {name: command}
    return found


def surface(name: str, command: Any) -> list[str]:
    """One line for each option and argument: command, names, default, environment variable."""
    return [
        f"{name} {','.join([*parameter.opts, *parameter.secondary_opts])}"
        f" default={parameter.default!r} env={parameter.envvar}"
        for parameter in command.params
        if "--help" not in parameter.opts
    ]


COMMANDS = commands()


def test_the_surface_is_the_committed_one() -> None:
    lines = [line for name, command in COMMANDS.items() for line in surface(name, command)]
    assert "\n".join(lines) + "\n" == EXPECTED.read_text(encoding="utf-8"), (
        "options changed: if that is meant, update tests/cli/options.txt and the changelog"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_its_environment_variable(name: str) -> None:
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option" and "--help" not in parameter.opts:
            long = next(option for option in parameter.opts if option.startswith("--"))
            assert parameter.envvar == "MTP_RT_" + long[2:].upper().replace("-", "_")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_shows_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert f"  mtp-rt {name}" in command.epilog
    assert all(parameter.help for parameter in command.params)
