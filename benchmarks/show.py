"""Draws a real run: plain decoding and drafts side by side, the tokens of one step in one colour.

    python benchmarks/show.py docs/generate.gif [--prompt TEXT] [--model NAME|DIR] [--max-tokens 96]

A .gif plays both runs at their measured times, slowed down alike; a .png is its last picture; an .svg shows
the terminal after `mtp-rt generate --compare`. Pictures need Pillow, and a terminal's font: DejaVu Sans Mono,
from the system or from matplotlib. Wants a quiet machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtp_rt import LLM, SamplingParams
from mtp_rt.results import Stats

PROMPT = "Explain why the sky is blue."
COLUMNS = 96
BACKGROUND, DIM, PLAIN = "#16181d", "#7d8590", "#e6edf3"
STEPS = ("#39c5cf", "#e3b341", "#d2a8ff", "#56d364")  # the colours of mtp_rt.cli.colours, in RGB
FONT_SIZE, LINE_HEIGHT, MARGIN = 15, 20, 16
FRAMES_PER_SECOND = 20
PLAIN_SECONDS = 8.0  # how long plain decoding lasts in the picture
LAST_FRAME_SECONDS = 4.0


@dataclass(frozen=True)
class Piece:
    """What one step wrote, and when: seconds since the first token."""

    seconds: float
    text: str
    colour: str


@dataclass(frozen=True)
class Run:
    """A whole answer."""

    pieces: list[Piece]
    stats: Stats
    token_ids: list[int]


def record(llm: LLM, prompt: str, max_tokens: int, drafts: Any) -> Run:
    """Return an answer with the time of each of its steps."""
    pieces: list[Piece] = []
    began = 0.0
    several = 0
    completion = None
    params = SamplingParams(max_tokens=max_tokens)
    for delta in llm.stream_chat([{"role": "user", "content": prompt}], params, drafts=drafts):
        now = time.perf_counter()
        began = began or now
        several += len(delta.token_ids) > 1
        colour = STEPS[(several - 1) % len(STEPS)] if len(delta.token_ids) > 1 else PLAIN
        pieces.append(Piece(now - began, delta.text, colour))
        completion = delta.completion
    assert completion is not None
    return Run(pieces, completion.stats, completion.token_ids)


def verdict(plain: Run, drafted: Run) -> str:
    """Return the line that `mtp-rt generate --compare` ends with."""
    slow, fast = plain.stats.tokens_per_second, drafted.stats.tokens_per_second
    equal = "yes" if plain.token_ids == drafted.token_ids else "NO"
    return (
        f"{drafted.stats.tokens_per_step:.2f} tokens per step, {fast / slow:.2f}x plain decoding "
        f"({fast:.0f} against {slow:.0f} tokens/s), text identical: {equal}"
    )


def places(text: str) -> list[tuple[int, int]]:
    """Return row and column of every character, lines broken between words."""
    result: list[tuple[int, int]] = []
    row = column = 0
    for at, character in enumerate(text):
        visible = not character.isspace()
        word_start = visible and (at == 0 or text[at - 1].isspace())
        word = text[at:].split(maxsplit=1)[0] if word_start else ""
        if visible and column > 0 and max(column + len(word), column + 1) > COLUMNS:
            row, column = row + 1, 0
        result.append((row, column))
        row, column = (row + 1, 0) if character == "\n" else (row, column + 1)
    return result


class Painter:
    """Draws both runs as they stand at a moment."""

    def __init__(self, command: str, plain: Run, drafted: Run) -> None:
        from PIL import ImageFont

        self._command, self._plain, self._drafted = command, plain, drafted
        self._font = ImageFont.truetype(font_file(), FONT_SIZE)
        self._advance = self._font.getlength("M")
        text = "".join(piece.text for piece in plain.pieces).rstrip()
        self._places = places(text)
        self._rows = self._places[-1][0] + 1 if self._places else 1
        lines = 2 * self._rows + 7
        self.size = (int(COLUMNS * self._advance) + 2 * MARGIN, lines * LINE_HEIGHT + 2 * MARGIN)

    def frame(self, seconds: float, ending: str | None = None) -> Any:
        """Return the picture at a moment of the runs; `ending` is the line below."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB", self.size, BACKGROUND)
        draw = ImageDraw.Draw(image)
        self._line(draw, 0, f"$ {self._command}", PLAIN)
        self._line(draw, 2, "one token per step", DIM)
        self._text(draw, 3, self._plain, seconds, coloured=False)
        self._line(draw, 4 + self._rows, "drafts: the tokens of one step in one colour", DIM)
        self._text(draw, 5 + self._rows, self._drafted, seconds, coloured=True)
        if ending:
            self._line(draw, 6 + 2 * self._rows, ending, PLAIN)
        return image

    def _text(self, draw: Any, first_row: int, run: Run, seconds: float, *, coloured: bool) -> None:
        at = 0
        for piece in run.pieces:
            if piece.seconds > seconds:
                return
            for character in piece.text:
                if at < len(self._places):
                    row, column = self._places[at]
                    place = (MARGIN + column * self._advance, MARGIN + (first_row + row) * LINE_HEIGHT)
                    draw.text(place, character, piece.colour if coloured else PLAIN, font=self._font)
                at += 1

    def _line(self, draw: Any, row: int, text: str, colour: str) -> None:
        draw.text((MARGIN, MARGIN + row * LINE_HEIGHT), text, colour, font=self._font)


def font_file() -> str:
    """Return the path of DejaVu Sans Mono."""
    name = "DejaVuSansMono.ttf"
    candidates = [Path("/usr/share/fonts/truetype/dejavu") / name]
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        candidates.append(Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / name)
    for path in candidates:
        if path.exists():
            return str(path)
    sys.exit(f"{name} is missing: install the DejaVu fonts or matplotlib")


def save_pictures(path: Path, painter: Painter, plain: Run, ending: str) -> None:
    """Write a .png or .gif."""
    length = max(plain.pieces[-1].seconds, 1e-3)
    last = painter.frame(length + 1.0, ending)
    if path.suffix == ".png":
        last.save(path)
        return
    count = int(PLAIN_SECONDS * FRAMES_PER_SECOND)
    frames = [painter.frame(length * index / count) for index in range(count)]
    duration = 1000 // FRAMES_PER_SECOND
    images = [image.quantize(32) for image in (*frames, last)]
    durations = [duration] * count + [int(1000 * LAST_FRAME_SECONDS)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)


def save_svg(path: Path, command: str, pieces: Sequence[Piece], ending: str) -> None:
    """Write the terminal as it stands after the run."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text(f"$ {command}"))
    console.print(Text.assemble(*((piece.text, piece.colour) for piece in pieces)))
    console.print(Text(f"\n{ending}"))
    path.write_text(console.export_svg(title="mtp-rt", unique_id="mtp-rt"), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="a .gif, .png or .svg")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--model")
    parser.add_argument("--max-tokens", type=int, default=96)
    args = parser.parse_args()
    if args.out.suffix not in (".gif", ".png", ".svg"):
        parser.error("the file must end in .gif, .png or .svg")
    command = f'mtp-rt generate --compare --max-tokens {args.max_tokens} "{args.prompt}"'
    with LLM(args.model) as llm:
        for drafts in (0, "auto"):
            record(llm, args.prompt, 16, drafts)  # warm-up
        drafted = record(llm, args.prompt, args.max_tokens, "auto")
        plain = record(llm, args.prompt, args.max_tokens, 0)
    ending = verdict(plain, drafted)
    if args.out.suffix == ".svg":
        save_svg(args.out, command, drafted.pieces, ending)
    else:
        save_pictures(args.out, Painter(command, plain, drafted), plain, ending)
    print(ending, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
