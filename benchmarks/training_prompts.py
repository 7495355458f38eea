"""Builds the prompts that the default model's heads were taught on.

    python benchmarks/training_prompts.py training_prompts.jsonl --gsm8k train.jsonl
    mtp-rt distill runs/smollm2 --prompts training_prompts.jsonl

| source | at most | from | licence |
| --- | --- | --- | --- |
| train:maths | 5,000 word problems | GSM8K's training half, by path | MIT |
| train:function | 2,500 functions to complete | the running Python's library, cut after docstrings | PSF |
| train:program | 1,500 tasks to program | reasoning-gym, CodeIO | Apache-2.0 |
| train:code | 4,000 small tasks to program | benchmarks/code_forms.json, combined | Apache-2.0 |
| train:question | 2,000 questions | reasoning-gym, CodeIO | Apache-2.0 |
| train:tools | 1,190 function calls | bfcl-eval, the categories that are not live | Apache-2.0 |
| train:advice | 500 questions | inspect-evals, PersistBench | MIT |
| train:writing | 3,000 briefs | benchmarks/writing_briefs.json, combined | Apache-2.0 |
| train:chat | 12,000 questions | benchmarks/chat_forms.json, combined | Apache-2.0 |

None of it is in benchmarks/prompts.py, whose texts are for evaluation only: what has the hash of such a
text is left out here, and refused by `mtp-rt distill` again. The order is shuffled from `--seed`, so that any
beginning of the file is a fair mixture; `--at-most chat=2000` changes the mixture.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import random
import sys
import sysconfig
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtp_rt.training.distill.prompts import is_evaluation
from prompt_packages import BFCL, INSPECT_EVALS, REASONING_GYM, fetch
from prompts import call_messages

SEED = 2026
LIMITS = {
    "maths": 5000,
    "function": 2500,
    "program": 1500,
    "code": 4000,
    "question": 2000,
    "advice": 500,
    "writing": 3000,
    "chat": 12000,
}
TOOL_CATEGORIES = ("simple_python", "multiple", "parallel", "simple_java", "simple_javascript", "irrelevance")
PACKAGES = (
    "asyncio",
    "collections",
    "concurrent",
    "ctypes",
    "curses",
    "email",
    "html",
    "http",
    "importlib",
    "json",
    "logging",
    "multiprocessing",
    "sqlite3",
    "tkinter",
    "unittest",
    "urllib",
    "wsgiref",
    "xml",
    "xmlrpc",
)
LONGEST = 2400  # characters: longer prompts cost more than they teach

BRIEFS = Path(__file__).with_name("writing_briefs.json")
CHAT_FORMS = Path(__file__).with_name("chat_forms.json")
CODE_FORMS = Path(__file__).with_name("code_forms.json")


def maths(gsm8k: Path | None) -> Iterator[Any]:
    """Yield the questions of GSM8K's training half, if it is there."""
    if gsm8k is not None:
        for line in gsm8k.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)["question"]


def functions() -> Iterator[str]:
    """Yield functions of the standard library, cut after their docstrings, with a request for the rest."""
    asked = (
        "Complete this Python function.",
        "Finish the following function.",
        "Write the body of this function:",
    )
    library = Path(sysconfig.get_paths()["stdlib"])
    inner = (
        path for path in library.glob("[a-z]*/**/*.py") if path.relative_to(library).parts[0] in PACKAGES
    )
    for path in [*sorted(library.glob("*.py")), *sorted(inner)]:
        text = path.read_text(encoding="utf-8", errors="replace")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) and node.args.args:
                end = node.body[0].end_lineno
                head = "\n".join(text.splitlines()[node.lineno - 1 : end])
                code = "\n".join(line[node.col_offset :] for line in head.splitlines())
                yield f"{asked[len(code) % len(asked)]}\n\n```python\n{code}\n```"


def code_io() -> list[dict[str, str]]:
    """Return the tasks of CodeIO: a description each, with what goes in and out."""
    with zipfile.ZipFile(fetch(REASONING_GYM)) as wheel:
        lines = gzip.decompress(wheel.read("reasoning_gym/data/codeio.jsonl.gz")).splitlines()
    return [json.loads(line) for line in lines]


def programs() -> Iterator[str]:
    """Yield tasks to write a function for."""
    for task in code_io()[1::2]:
        yield f"Write a Python function. {task['task_description']}\n\n{task['input_output_spec']}"


def code(seed: int) -> Iterator[str]:
    """Yield small tasks to program, each form of each task at most once."""
    parts = json.loads(CODE_FORMS.read_text(encoding="utf-8"))
    pairs = [(form, task) for form in parts["forms"] for task in parts["tasks"]]
    random.Random(seed).shuffle(pairs)
    for form, task in pairs:
        words = task["task"]
        yield form.format(signature=task["signature"], task=words, Task=words[0].upper() + words[1:])


def questions() -> Iterator[str]:
    """Yield tasks as questions, those that `programs` does not use first."""
    tasks = code_io()
    yield from (task["task_description"] for task in tasks[0::2] + tasks[1::2])


def tools() -> Iterator[list[dict[str, str]]]:
    """Yield requests beside the schemas of functions."""
    with zipfile.ZipFile(fetch(BFCL)) as wheel:
        for category in TOOL_CATEGORIES:
            for line in wheel.read(f"bfcl_eval/data/BFCL_v4_{category}.json").splitlines():
                yield call_messages(json.loads(line))


def advice() -> Iterator[str]:
    """Yield questions of people."""
    with zipfile.ZipFile(fetch(INSPECT_EVALS)) as wheel:
        for name in ("beneficial_samples", "cross_domain", "sycophancy"):
            text = wheel.read(f"inspect_evals/persistbench/benchmark_samples/{name}.jsonl")
            yield from (json.loads(line)["query"] for line in text.splitlines())


def writing(seed: int) -> Iterator[str]:
    """Yield briefs, without end."""
    choice = random.Random(seed)
    parts = json.loads(BRIEFS.read_text(encoding="utf-8"))
    while True:
        ask = choice.choice(("Write", "Please write", "I need", "Draft", "Help me write"))
        kind, subject, reader, wish = (
            choice.choice(parts[name]) for name in ("kinds", "subjects", "readers", "wishes")
        )
        yield f"{ask} {kind} about {subject} {reader}. {wish}".strip()


def chat(seed: int) -> Iterator[str]:
    """Yield questions about everyday subjects, without end."""
    choice = random.Random(seed)
    parts = json.loads(CHAT_FORMS.read_text(encoding="utf-8"))
    while True:
        a, b = choice.sample(parts["subjects"], 2)
        yield choice.choice(parts["forms"]).format(a=a, b=b)


def collect(name: str, texts: Iterator[Any], most: int | None) -> list[dict[str, Any]]:
    """Return a source's prompts as lines of a prompt file: none twice, too long or for evaluation."""
    seen: set[str] = set()
    lines: list[dict[str, Any]] = []
    for prompt in texts:
        messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        text = "\n".join(message["content"] for message in messages)
        if text not in seen and len(text) <= LONGEST and not is_evaluation(text):
            seen.add(text)
            lines.append({"source": f"train:{name}", "messages": messages})
        if len(lines) == most:
            break
    return lines


def limits(changes: list[str]) -> dict[str, int]:
    """Return how many prompts each source gives at most, LIMITS changed by words like "chat=2000"."""
    changed = dict(LIMITS)
    for change in changes:
        name, _, count = change.partition("=")
        if name not in LIMITS or not count.isdecimal() or int(count) == 0:
            raise SystemExit(f"--at-most {change}: use SOURCE=COUNT, SOURCE one of {', '.join(LIMITS)}")
        changed[name] = int(count)
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the prompt file to write")
    parser.add_argument("--gsm8k", type=Path, help="GSM8K's training file; without it no train:maths")
    parser.add_argument(
        "--at-most", action="append", default=[], metavar="SOURCE=COUNT", help="change a source's share"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the combined prompts and of the order")
    args = parser.parse_args()
    most = limits(args.at_most)
    sources = {
        "maths": maths(args.gsm8k),
        "function": functions(),
        "program": programs(),
        "question": questions(),
        "tools": tools(),
        "advice": advice(),
        "writing": writing(args.seed),
        "chat": chat(args.seed),
        "code": code(args.seed),
    }
    lines = [line for name, texts in sources.items() for line in collect(name, texts, most.get(name))]
    random.Random(args.seed).shuffle(lines)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    args.out.write_text(text, encoding="utf-8")
    counts = Counter(line["source"] for line in lines)
    print(f"{args.out}: {len(lines)} prompts: {dict(counts)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
