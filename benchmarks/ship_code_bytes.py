"""Makes the package of code-bytes from a finished run, and measures what its card says.

    python benchmarks/ship_code_bytes.py runs/code-bytes build/stdlib.jsonl [--prose TEXTS.jsonl]

The run is that of benchmarks/code_bytes.toml. Drafts are counted in the native engine on files that training
held out and, with --prose, on texts of the field "question" or "text" of a file of JSON lines.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import shutil
import sys
from pathlib import Path

from mtp_rt import machine
from mtp_rt.bench import measure
from mtp_rt.convert.digest import sha256_of
from mtp_rt.hub import known_models
from mtp_rt.model_dir import read_model_dir
from mtp_rt.training.distill.acceptance import Acceptance
from mtp_rt.training.distill.native_acceptance import measure_native_texts
from mtp_rt.training.pretrain.documents import held_out
from stdlib_text import SHARE

WEIGHTS = "model.safetensors"
PACKAGE = Path(__file__).parents[1] / "python/mtp_rt/hub/packages/code-bytes"
LENGTH, PROMPT, MOST = 1024, 16, 48  # bytes of a text, those before the first draft; texts
HEADS = (2, 4, 8)  # tokens predicted at once
PAPER = (1.98, 3.84, 7.04)  # arXiv:2404.19737: 7B parameters, bytes of code
CARD = Path(__file__).with_name("code_bytes_card.md")
KNOWN = Path(__file__).parents[1] / "python/mtp_rt/hub/known.py"


def texts(path: Path, *, of_held_out: bool) -> list[tuple[list[int], int]]:
    """Return pieces of a file's texts as bytes, and where drafts begin in each."""
    found: list[tuple[list[int], int]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        text = fields.get("text") or fields["question"]
        if of_held_out and not held_out(text, SHARE):
            continue
        data = list(text.encode())
        starts = range(0, max(1, len(data) - LENGTH), max(LENGTH, len(data) // 4))
        found += [(data[start : start + LENGTH], PROMPT) for start in starts]
    step = max(1, len(found) // MOST)
    return [text for text in found[::step] if len(text[0]) > 2 * PROMPT]


def row(name: str, acceptance: Acceptance) -> str:
    """Return a line of the table."""
    tokens = [1 + sum(acceptance.cumulative[: n - 1]) for n in HEADS]
    return f"| {name} | " + " | ".join(f"{one:.2f}" for one in tokens) + " |"


def evaluated(run: Path) -> dict[str, str]:
    """Return the last evaluation of a run's log."""
    with (run / "log.csv").open(encoding="utf-8", newline="") as stream:
        *_, last = [line for line in csv.DictReader(stream) if line["dev_bits_per_byte_1"]]
    return last


def package(run: Path) -> None:
    """Copy the run's model."""
    PACKAGE.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, "tokenizer.json"):
        shutil.copyfile(run / "model" / name, PACKAGE / name)
    config = json.loads((run / "model/config.json").read_text(encoding="utf-8"))
    config["mtp_rt"]["source"] = {"name": PACKAGE.name, "license": "Apache-2.0"}
    (PACKAGE / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def name_weights() -> None:
    """Let the list of known models name the package's weights: their digest and their bytes."""
    [model] = [model for model in known_models() if model.name == PACKAGE.name]
    text = KNOWN.read_text(encoding="utf-8")
    for old, new in (
        (model.sha256, sha256_of(PACKAGE / WEIGHTS)),
        (f"{model.nbytes:_}", f"{(PACKAGE / WEIGHTS).stat().st_size:_}"),
    ):
        if text.count(old) != 1:
            raise ValueError(f"{KNOWN} does not name {old} once: install this tree and try again")
        text = text.replace(old, new)
    KNOWN.write_text(text, encoding="utf-8")


def card(run: Path, text: Path, rows: list[str], prose: Path | None, note: str) -> str:
    """Return the package's README."""
    config = json.loads((PACKAGE / "config.json").read_text(encoding="utf-8"))
    log, lines = evaluated(run), text.read_text(encoding="utf-8").splitlines()
    return CARD.read_text(encoding="utf-8").format(
        parameters=parameters(),
        megabytes=(PACKAGE / WEIGHTS).stat().st_size / 1e6,
        n=1 + config["mtp_rt"]["heads"]["count"],
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        share=SHARE,
        bits=float(log["dev_bits_per_byte_1"]),
        right=float(log["dev_accuracy_1"]),
        cpu=machine.cpu_name(),
        date=measure.today()[:10],
        header=" | ".join(f"{n} heads" for n in HEADS),
        dashes=" | ".join("---" for _ in HEADS),
        rows="\n".join(rows),
        tokens=int(log["tokens"]),
        steps=int(log["step"]),
        minutes=float(log["seconds"]) / 60,
        files=len(lines),
        python=sys.version.split()[0],
        text_bytes=sum(len(json.loads(line)["text"].encode()) for line in lines),
        digest=sha256_of(text),
        prose=f" --prose {prose.name}" if prose else "",
        note=f" {note}" if note else "",
    )


def parameters() -> int:
    """Return how many numbers the package's matrices hold."""
    tensors = read_model_dir(PACKAGE).tensors
    return sum(math.prod(entry.shape) for name, entry in tensors.items() if name.endswith(".q8"))


def main() -> int:
    """Make the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--prose", type=Path)
    parser.add_argument("--note", default="", help="a sentence for the card")
    args = parser.parse_args()
    package(args.run)
    name_weights()
    rows = [row("held-out Python", measure_native_texts(PACKAGE, texts(args.text, of_held_out=True)))]
    if args.prose:
        rows.append(row("English prose", measure_native_texts(PACKAGE, texts(args.prose, of_held_out=False))))
    rows.append("| the paper's code, 7B | " + " | ".join(f"{paper:.2f}" for paper in PAPER) + " |")
    (PACKAGE / "README.md").write_text(
        card(args.run, args.text, rows, args.prose, args.note), encoding="utf-8"
    )
    print(f"{PACKAGE}: {(PACKAGE / WEIGHTS).stat().st_size:,} bytes, sha256 {sha256_of(PACKAGE / WEIGHTS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
