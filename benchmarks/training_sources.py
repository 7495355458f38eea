"""Prompts for training from other people's data: one generator a source, nothing of benchmarks/prompts.py."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import re
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prompt_packages import (
    BFCL,
    BOLTONS,
    INSPECT_EVALS,
    MORE_ITERTOOLS,
    NETWORKX,
    REASONING_GYM,
    SYMPY,
    TOOLZ,
    fetch,
)
from prompts import WRITING_COUNT, briefs, call_messages

TOOL_CATEGORIES = ("simple_python", "multiple", "parallel", "simple_java", "simple_javascript", "irrelevance")
CALL_CATEGORIES = ("live_multiple", "live_irrelevance", "live_parallel_multiple", "parallel_multiple")
EVALUATED_CATEGORY = "live_simple"
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
DOCTESTED = (MORE_ITERTOOLS, TOOLZ, BOLTONS, NETWORKX, SYMPY)
LONGEST_FUNCTION = 1200  # characters of signature and docstring
CALLS_EACH = 2  # of the functions beside a request


def maths(gsm8k: Path | None) -> Iterator[str]:
    """Yield the questions of GSM8K's training half, if it is there."""
    if gsm8k is not None:
        for line in gsm8k.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)["question"]


def functions() -> Iterator[str]:
    """Yield functions of the standard library, cut after their docstrings, with a request for the rest."""
    library = Path(sysconfig.get_paths()["stdlib"])
    inner = (
        path for path in library.glob("[a-z]*/**/*.py") if path.relative_to(library).parts[0] in PACKAGES
    )
    for path in [*sorted(library.glob("*.py")), *sorted(inner)]:
        for head in _heads(path.read_text(encoding="utf-8", errors="replace")):
            yield _to_complete(head)


def doctests() -> Iterator[str]:
    """Yield functions whose docstrings show examples, cut after those."""
    for package in DOCTESTED:
        with zipfile.ZipFile(fetch(package)) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(".py") and "/tests/" not in name]
            for name in sorted(names):
                heads = _heads(wheel.read(name).decode("utf-8", "replace"))
                yield from (
                    _to_complete(head) for head in heads if ">>>" in head and len(head) < LONGEST_FUNCTION
                )


def _heads(source: str) -> Iterator[str]:
    """Yield signature and docstring of a module's functions that have both arguments and a docstring."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) and node.args.args:
            head = lines[node.lineno - 1 : node.body[0].end_lineno]
            yield "\n".join(line[node.col_offset :] for line in head)


def _to_complete(head: str) -> str:
    asked = (
        "Complete this Python function.",
        "Finish the following function.",
        "Write the body of this function:",
    )
    return f"{asked[len(head) % len(asked)]}\n\n```python\n{head}\n```"


def code_io() -> list[dict[str, str]]:
    """Return the tasks of CodeIO: a description each, with what goes in and out."""
    with zipfile.ZipFile(fetch(REASONING_GYM)) as wheel:
        lines = gzip.decompress(wheel.read("reasoning_gym/data/codeio.jsonl.gz")).splitlines()
    return [json.loads(line) for line in lines]


def programs() -> Iterator[str]:
    """Yield tasks to write a function for."""
    for task in code_io()[1::2]:
        yield f"Write a Python function. {task['task_description']}\n\n{task['input_output_spec']}"


def questions() -> Iterator[str]:
    """Yield tasks as questions, those that `programs` does not use first."""
    tasks = code_io()
    yield from (task["task_description"] for task in tasks[0::2] + tasks[1::2])


def tools() -> Iterator[list[dict[str, str]]]:
    """Yield requests beside the schemas of functions."""
    for category in TOOL_CATEGORIES:
        yield from map(call_messages, _bfcl(category))


def calls() -> Iterator[list[dict[str, str]]]:
    """Yield requests beside one function each, without functions and requests of the evaluated category."""
    evaluated = _bfcl(EVALUATED_CATEGORY)
    names = {function["name"] for entry in evaluated for function in entry["function"]}
    asked = {_asked(entry) for entry in evaluated}
    for category in CALL_CATEGORIES:
        for entry in _bfcl(category):
            if _asked(entry) not in asked:
                functions = [one for one in entry["function"] if one["name"] not in names]
                for function in functions[:CALLS_EACH]:
                    yield call_messages(entry | {"function": [function]})


def _bfcl(category: str) -> list[dict[str, Any]]:
    with zipfile.ZipFile(fetch(BFCL)) as wheel:
        return [
            json.loads(line) for line in wheel.read(f"bfcl_eval/data/BFCL_v4_{category}.json").splitlines()
        ]


def _asked(entry: dict[str, Any]) -> str:
    users = [turn["content"] for turn in entry["question"][0] if turn["role"] == "user"]
    return " ".join(re.findall(r"\w+", " ".join(users).lower()))


def advice() -> Iterator[str]:
    """Yield questions of people."""
    with zipfile.ZipFile(fetch(INSPECT_EVALS)) as wheel:
        for name in ("beneficial_samples", "cross_domain", "sycophancy"):
            text = wheel.read(f"inspect_evals/persistbench/benchmark_samples/{name}.jsonl")
            yield from (json.loads(line)["query"] for line in text.splitlines())


def facts() -> Iterator[str]:
    """Yield the questions of FreshQA."""
    with zipfile.ZipFile(fetch(INSPECT_EVALS)) as wheel:
        text = wheel.read("inspect_evals/abstention_bench/data/freshqa/FreshQA_v12182024.csv").decode()
    rows = list(csv.reader(io.StringIO(text)))
    begin = next(index for index, row in enumerate(rows) if row[:1] == ["id"])
    yield from (row[rows[begin].index("question")] for row in rows[begin + 1 :])


def long_briefs() -> Iterator[str]:
    """Yield English briefs of WritingBench, without the shortest, which are for evaluation."""
    yield from briefs()[WRITING_COUNT:]
