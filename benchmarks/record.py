"""Runs a benchmark that prints JSON and keeps its result with all that a reader needs to repeat it.

    python benchmarks/record.py peers -- mtp-rt bench peers --json

Writes benchmarks/results/<date>-<cpu>-<name>.json: command, date, processor, commit and the result, which
holds the read bandwidth measured during the run.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from mtp_rt import machine
from mtp_rt.bench import measure

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="what the result shows: peers, steps, decode, ...")
    parser.add_argument("--note", default="", help="anything unusual about this run")
    parser.add_argument("command", nargs="+", help="after --: a command that prints one JSON object")
    args = parser.parse_args()
    done = subprocess.run(args.command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return done.returncode
    path = write(args.name, args.command, json.loads(done.stdout), args.note)
    print(path.relative_to(ROOT), file=sys.stderr)
    return 0


def write(name: str, command: list[str], result: dict[str, Any], note: str = "") -> Path:
    """Write a result file and return its path; a second run of the same day replaces the first."""
    date = measure.today()
    cpu = machine.cpu_name()
    entry = {
        "name": name,
        "command": shlex.join(command),
        "date": date,
        "cpu": cpu,
        "cores": machine.available_cores(),
        "commit": commit(),
        **({"note": note} if note else {}),
        "result": result,
    }
    slug = re.sub(r"[^a-z0-9]+", "-", cpu.lower()).strip("-")
    path = RESULTS / f"{date[:10]}-{slug}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    return path


def commit() -> str:
    """Return the commit of the checkout, marked where files of the product differ from it."""
    command = ["git", "-C", str(ROOT)]
    head = subprocess.run(
        [*command, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
    )
    product = ["CMakeLists.txt", "pyproject.toml", "cpp", "cuda", "python"]
    changed = subprocess.run([*command, "diff", "--quiet", "HEAD", "--", *product], check=False).returncode
    return head.stdout.strip() + (" with local changes" if changed else "")


if __name__ == "__main__":
    sys.exit(main())
