"""Gate-size equality: plain decoding against drafts on a real model, token by token.

    python benchmarks/equality.py [--model NAME|DIR] [--tokens 32] [--seeds 8]

Texts decoded plainly (one row a call, alone, one thread) are compared with the same requests under every
kind of drafts of tests/engines/conformance.py, greedy and sampled (4 temperatures x the filters of
tests/engines/decoding.py x seeds), in batches of 8, with random prefill chunks and 1 and 2 threads; then
once more in crowds of up to 16 random neighbours, and with every instruction set. Needs the `test` extra
and a source install (scripted drafts). Prints JSON; exit status 1 if a token differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtp_rt import hub
from mtp_rt._core import Engine, available_isas

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "engines")]
from conformance import DRAFTING  # noqa: E402
from crowd import decode_among  # noqa: E402
from decoding import SAMPLING, Case, count_differing, decode, plain_text  # noqa: E402
from real_prompts import prompt_ids  # noqa: E402

TEMPERATURES = (0.3, 0.7, 1.0, 1.5)
CONTEXT = 512


def make_cases(model: Path, tokens: int, seeds: int) -> list[Case]:
    """Return every filter at every temperature and seed, prompts in turn; greedy once a prompt."""
    prompts = prompt_ids(model)
    found = [Case(ids, {}, tokens) for ids in prompts]
    for name, filters in SAMPLING.items():
        for temperature in TEMPERATURES if name != "greedy" else ():
            for seed in range(seeds):
                sampling = {**filters, "temperature": temperature, "seed": seed}
                found.append(Case(prompts[len(found) % len(prompts)], sampling, tokens))
    return found


class Tally:
    """Counts compared and differing tokens by what was varied."""

    def __init__(self) -> None:
        self.by_kind: dict[str, dict[str, int]] = {}

    def add(self, kind: str, found: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> None:
        row = self.by_kind.setdefault(kind, {"texts": 0, "tokens": 0, "differing_tokens": 0})
        for a, b in zip(found, expected, strict=True):
            row["texts"] += 1
            row["tokens"] += len(b)
            row["differing_tokens"] += count_differing(a, b)
        print(f"{kind:24} {row}", file=sys.stderr, flush=True)

    def total(self, field: str) -> int:
        return sum(row[field] for row in self.by_kind.values())

    def conclude(self, model: str, cases: int) -> int:
        """Print the counts as JSON; return the exit status: 1 if a token differs."""
        differing = self.total("differing_tokens")
        result = {
            "model": model,
            "cases": cases,
            "tokens": self.total("tokens"),
            "differing_tokens": differing,
            "by_kind": self.by_kind,
        }
        print(json.dumps(result, indent=2))
        return 1 if differing else 0


def compare_drafts(
    model: Path, cases: Sequence[Case], texts: Sequence[list[int]], tally: Tally, rng: np.random.Generator
) -> None:
    """Compare every kind of drafts, each on 1 and on 2 threads alternately, with random prefill chunks."""
    for i, (name, drafting) in enumerate(DRAFTING.items()):
        threads = 1 + i % 2
        engine = Engine(str(model), threads=threads, slots=8, context=CONTEXT)
        requests = [drafting(case, text, i) for case, text in zip(cases, texts, strict=True)]
        chunk = int(rng.choice([1, 2, 7, 16, 64, 128]))
        tally.add(name, decode(engine, requests, prefill_chunk=chunk), texts)


def compare_crowds(
    model: Path, cases: Sequence[Case], texts: Sequence[list[int]], tally: Tally, trials: int
) -> None:
    engine = Engine(str(model), threads=2, slots=16, context=CONTEXT)
    prompts = prompt_ids(model)
    names = list(DRAFTING)
    for trial in range(trials):
        at = trial * 37 % len(cases)
        request = DRAFTING[names[trial % len(names)]](cases[at], texts[at], trial)
        found = decode_among(engine, request, 2 + trial % 15, trial, prompts)
        tally.add("in a crowd", [found], [texts[at]])


def compare_isas(model: Path, cases: Sequence[Case], texts: Sequence[list[int]], tally: Tally) -> None:
    """The generic kernels are slow: two cases there, sixteen elsewhere."""
    for isa in available_isas():
        count = 2 if isa == "generic" else 16
        chosen = range(0, len(cases), len(cases) // count)[:count]
        engine = Engine(str(model), isa=isa, threads=2, slots=8, context=CONTEXT)
        requests = [DRAFTING["lookup 4"](cases[i], texts[i], i) for i in chosen]
        tally.add(f"isa {isa}", decode(engine, requests), [texts[i] for i in chosen])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=hub.DEFAULT_MODEL)
    parser.add_argument("--tokens", type=int, default=32, help="tokens of each text")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--crowds", type=int, default=50)
    args = parser.parse_args()
    model = hub.resolve_model(args.model)
    cases = make_cases(model, args.tokens, args.seeds)
    engine = Engine(str(model), threads=1, context=CONTEXT)
    texts = [plain_text(engine, case) for case in cases]
    print(f"{len(texts)} plain texts", file=sys.stderr, flush=True)
    tally = Tally()
    compare_drafts(model, cases, texts, tally, np.random.default_rng(1))
    compare_crowds(model, cases, texts, tally, args.crowds)
    compare_isas(model, cases, texts, tally)
    return tally.conclude(args.model, len(cases))


if __name__ == "__main__":
    sys.exit(main())
