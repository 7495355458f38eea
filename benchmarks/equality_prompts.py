"""The same text over a whole prompt file: plain decoding against the drafts a user can ask for.

    python benchmarks/equality_prompts.py --prompts mtp_bench.jsonl [--tokens 128] [--sampled 50] [--seeds 3]

Plain texts are decoded alone, one row a call: greedy for every prompt, and at temperature 0.7 for some
prompts and seeds. The same requests then run side by side with every number of drafts, automatic drafts and
drafts in trees (scripted, partly wrong). Prints JSON; exit status 1 if a token differs. See equality.py for
filters, threads, crowds and instruction sets.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from equality import TESTS, Tally

sys.path[:0] = [str(TESTS), str(TESTS / "engines")]
from conformance import Drafting  # noqa: E402
from decoding import Case, decode  # noqa: E402

from mtp_rt import hub  # noqa: E402
from mtp_rt._core import Engine  # noqa: E402
from mtp_rt.bench.prompts import built_in, read  # noqa: E402
from mtp_rt.model_dir import read_model_dir  # noqa: E402
from mtp_rt.tokenizer import Tokenizer  # noqa: E402

TEMPERATURE = 0.7
MOST_DRAFTS = 15


def make_cases(model: Path, args: argparse.Namespace) -> list[Case]:
    """Return every prompt greedily, then `args.sampled` of them, at equal distances, with every seed."""
    tokenizer = Tokenizer.load(model)
    stop = read_model_dir(model).config.eos
    prompts = [
        tokenizer.encode_chat(prompt.conversation())
        for prompt in (read(args.prompts) if args.prompts else built_in())
    ]
    greedy = [Case(ids, {}, args.tokens, stop) for ids in prompts]
    count = min(args.sampled, len(prompts))
    chosen = [prompts[index * len(prompts) // count] for index in range(count)]
    sampled = [
        Case(ids, {"temperature": TEMPERATURE, "seed": seed}, args.tokens, stop)
        for seed in range(args.seeds)
        for ids in chosen
    ]
    return greedy + sampled


def kinds(heads: int) -> dict[str, Drafting]:
    """Return the ways of drafting to compare: the model's heads, and lookup where it has none."""
    source, most = ("heads", heads) if heads else ("lookup", 4)
    found: dict[str, Drafting] = {"drafts 0": lambda case, text, seed: case.request()}
    for count in range(1, most + 1):
        found[f"{source} {count}"] = _fixed(source, count)
    found["auto"] = lambda case, text, seed: case.request("auto", 7, adaptive=True)
    found["tree"] = lambda case, text, seed: case.scripted(text, 0.7, MOST_DRAFTS, tree=True, seed=seed)
    return found


def _fixed(source: str, count: int) -> Drafting:
    return lambda case, text, seed: case.request(source, count)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=hub.DEFAULT_MODEL)
    parser.add_argument("--prompts", type=Path, help="default: the built-in prompts")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each text at most")
    parser.add_argument("--sampled", type=int, default=50, help="prompts decoded at temperature 0.7 too")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=8, help="texts side by side")
    args = parser.parse_args()
    model = hub.resolve_model(args.model)
    cases = make_cases(model, args)
    context = max(len(case.prompt) for case in cases) + args.tokens + MOST_DRAFTS + 1
    alone = Engine(str(model), context=context)
    texts = decode(alone, [case.request() for case in cases])
    print(f"{len(texts)} plain texts", file=sys.stderr, flush=True)
    engine = Engine(str(model), slots=args.slots, context=context)
    tally = Tally()
    for name, drafting in kinds(engine.info.extra_heads).items():
        requests = [drafting(case, text, i) for i, (case, text) in enumerate(zip(cases, texts, strict=True))]
        tally.add(name, decode(engine, requests), texts)
    return tally.conclude(args.model, len(cases))


if __name__ == "__main__":
    sys.exit(main())
