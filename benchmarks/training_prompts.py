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
| train:calls | 2,000 function calls | bfcl-eval, live, none of evaluated functions | Apache-2.0 |
| train:doctest | 2,500 functions to complete | more-itertools, toolz, boltons, networkx, sympy | MIT, BSD |
| train:advice | 500 questions | inspect-evals, PersistBench | MIT |
| train:facts | 600 questions | inspect-evals, FreshQA | Apache-2.0 |
| train:brief | 130 briefs | inspect-evals, WritingBench without 100 for evaluation | MIT; see its NOTICE |
| train:writing | 3,000 briefs | benchmarks/writing_briefs.json, combined | Apache-2.0 |
| train:chat | 12,000 questions | benchmarks/chat_forms.json, combined | Apache-2.0 |

None of it is in benchmarks/prompts.py, whose texts are for evaluation only: what has the hash of such a
text is left out here, and refused by `mtp-rt distill` again. The order is shuffled from `--seed`, so that any
beginning of the file is a fair mixture; `--at-most chat=2000` changes the mixture.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtp_rt.training.distill.prompts import is_evaluation
from training_sources import (
    advice,
    calls,
    doctests,
    facts,
    functions,
    long_briefs,
    maths,
    programs,
    questions,
    tools,
)

SEED = 2026
LIMITS = {
    "maths": 5000,
    "function": 2500,
    "program": 1500,
    "code": 4000,
    "question": 2000,
    "calls": 2000,
    "doctest": 2500,
    "advice": 500,
    "facts": 600,
    "brief": 130,
    "writing": 3000,
    "chat": 12000,
}
LONGEST = 3600  # characters: longer prompts cost more than they teach

BRIEFS = Path(__file__).with_name("writing_briefs.json")
CHAT_FORMS = Path(__file__).with_name("chat_forms.json")
CODE_FORMS = Path(__file__).with_name("code_forms.json")


def code(seed: int) -> Iterator[str]:
    """Yield small tasks to program, each form of each task at most once."""
    parts = json.loads(CODE_FORMS.read_text(encoding="utf-8"))
    pairs = [(form, task) for form in parts["forms"] for task in parts["tasks"]]
    random.Random(seed).shuffle(pairs)
    for form, task in pairs:
        words = task["task"]
        yield form.format(signature=task["signature"], task=words, Task=words[0].upper() + words[1:])


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
        "calls": calls(),
        "doctest": doctests(),
        "advice": advice(),
        "facts": facts(),
        "brief": long_briefs(),
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
