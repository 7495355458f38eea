"""Colours that show which tokens came together in one step."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtp_rt.results import Delta

COLOURS = ("\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m")
PLAIN = "\x1b[0m"


def wanted(choice: bool | None = None) -> bool:
    """Return whether to colour stdout: the user's choice, else on a terminal without NO_COLOR."""
    if choice is not None:
        return choice
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


class StepColours:
    """Paints a text step by step: tokens of one step share a colour, the next such step has another.

    Steps of one token stay plain.

    Args:
        on: False paints nothing.
    """

    def __init__(self, on: bool) -> None:
        self._on = on
        self._steps = 0

    def paint(self, delta: Delta) -> str:
        """Return the text of a step, with the colour codes around it."""
        if len(delta.token_ids) < 2:
            return delta.text
        self._steps += 1
        if not self._on or not delta.text:
            return delta.text
        return f"{COLOURS[(self._steps - 1) % len(COLOURS)]}{delta.text}{PLAIN}"
