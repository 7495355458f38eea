"""Gathers the text that code-bytes learned from: the running Python's library, without its tests.

    python benchmarks/stdlib_text.py build/stdlib.jsonl [--prompts build/code_prompts.jsonl]

One file of source is a line, {"text", "path"}; its licence is the PSF's. Files that repeat another or hold
less than 200 characters are left out. The prompts are pieces of files that training holds out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from mtp_rt.training.pretrain.documents import held_out
from mtp_rt.training.pretrain.sections import DataConfig

SHORTEST = 200  # characters
SHARE = DataConfig.validation_share  # of the files, held out: benchmarks/code_bytes.toml names no other
PROMPT = 400  # characters
PIECES = 5
LEFT_OUT = {"site-packages", "test", "tests", "idle_test"}  # folders


def sources(library: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of the library's files of source, in order of their paths."""
    seen = set()
    for path in sorted(library.rglob("*.py")):
        inside = path.relative_to(library)
        if LEFT_OUT & set(inside.parts) or ("lib2to3" in inside.parts and "data" in inside.parts):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        digest = hashlib.sha256(text.encode()).digest()
        if len(text) >= SHORTEST and digest not in seen:
            seen.add(digest)
            yield str(inside), text


def write(path: Path, lines: list[dict[str, str]]) -> None:
    """Write lines of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def prompts(texts: list[str]) -> Iterator[str]:
    """Yield pieces of the files that training holds out, each up to the beginning of a line."""
    for text in texts:
        if not held_out(text, SHARE) or len(text) < PIECES * PROMPT:
            continue
        for piece in range(1, PIECES):
            end = text.rfind("\n", 0, len(text) * piece // PIECES) + 1
            if end >= PROMPT:
                yield text[end - PROMPT : end]


def main() -> int:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--prompts", type=Path)
    args = parser.parse_args()
    library = Path(sysconfig.get_paths()["stdlib"])
    found = list(sources(library))
    write(args.out, [{"text": text, "path": path} for path, text in found])
    if args.prompts:
        cut = prompts([text for _, text in found])
        write(args.prompts, [{"prompt": prompt, "source": "code"} for prompt in cut])
    print(f"{args.out}: {len(found)} files of Python {sys.version.split()[0]}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
