"""Automatic drafts against plain decoding, also where drafts cannot help: what do they cost then?

    python benchmarks/never_slower.py [--prompts mtp_bench.jsonl] [--each 4] [--tokens 96] [--repeat 5]

Kinds of work: prompts of every source at temperatures 0, 0.7 and 1.0; long prompts up to the context; and
work made to defeat drafts: prompts of random tokens, and temperature 1.5. A round decodes every prompt of
every kind plainly and with automatic drafts, back to back, in an order that changes from prompt to prompt and
round to round. The tokens are the same, so a ratio is plain seconds over automatic seconds of a round; shown
are the median and the range over the rounds. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mtp_rt import SamplingParams, _core, hub
from mtp_rt.bench import measure, session
from mtp_rt.bench.prompts import Prompt, built_in, read
from mtp_rt.costs import open_scheduler
from mtp_rt.request import draft_options, native_request
from mtp_rt.tokenizer import Tokenizer

MODES = ("plain", "auto")
TEMPERATURES = (0.0, 0.7, 1.0)
HOT = 1.5
CONTEXTS = (1024, 4000)
RANDOM_TOKENS = 64
SPARE_TOKENS = 16


@dataclass
class Kind:
    """Prompts that are decoded in one way, and what that took.

    Attributes:
        prompts: Token ids.
        temperature: How tokens are chosen.
        seconds: [mode][round] of decoding, over all prompts.
        texts: [mode]: the texts of the first round.
        steps: Verify calls of the automatic mode in the first round.
    """

    prompts: list[list[int]]
    temperature: float
    seconds: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    texts: dict[str, list[list[int]]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    steps: int = 0


def make_kinds(model: Path, prompts: list[Prompt], each: int, room: int) -> dict[str, Kind]:
    """Return the kinds by name; no prompt is longer than `room` tokens."""
    tokenizer = Tokenizer.load(model)
    by_source: dict[str, list[list[int]]] = {}
    for prompt in prompts:
        ids = tokenizer.encode_chat(prompt.conversation())
        if len(by_source.setdefault(prompt.source, [])) < each and len(ids) <= room:
            by_source[prompt.source].append(ids)
    found = {
        f"{source}, T {temperature:g}": Kind(ids, temperature)
        for source, ids in sorted(by_source.items())
        for temperature in TEMPERATURES
    }
    running_text = tokenizer.encode("\n\n".join(prompt.plain() for prompt in prompts))
    for length in (min(context, room) for context in CONTEXTS):
        starts = range(0, len(running_text) - length, max(1, len(running_text) // each))
        if starts:
            long = [running_text[start : start + length] for start in starts][:each]
            found[f"context {length}, T 0"] = Kind(long, 0.0)
    rng = np.random.default_rng(1)
    random = rng.integers(0, tokenizer.vocab_size, (each, RANDOM_TOKENS)).tolist()
    for temperature in (0.0, HOT):
        found[f"random tokens, T {temperature:g}"] = Kind(random, temperature)
    mixed = [ids for of_source in by_source.values() for ids in of_source[:1]]
    found[f"every source, T {HOT:g}"] = Kind(mixed, HOT)
    return found


def request(kind: Kind, index: int, mode: str, tokens: int) -> _core.Request:
    """Return prompt `index` of a kind; it goes on to its last token, whatever the text says."""
    params = SamplingParams(temperature=kind.temperature, max_tokens=tokens, ignore_eos=True)
    drafts = draft_options("auto", "auto") if mode == "auto" else draft_options(0, "none")
    return native_request(kind.prompts[index], params, seed=index, end_tokens=(), drafts=drafts)


def run_round(scheduler: _core.Scheduler, kind: Kind, tokens: int, first_mode: int) -> None:
    """Decode every prompt of a kind in both modes."""
    seconds = dict.fromkeys(MODES, 0.0)
    first_round = not kind.seconds["plain"]
    for index in range(len(kind.prompts)):
        for mode in MODES if (first_mode + index) % 2 == 0 else reversed(MODES):
            (done,) = session.decode(scheduler, [request(kind, index, mode, tokens)]).requests
            seconds[mode] += done.decode_seconds
            if first_round:
                kind.texts[mode].append(done.tokens)
                kind.steps += done.steps if mode == "auto" else 0
    for mode in MODES:
        kind.seconds[mode].append(seconds[mode])


def summary(kind: Kind) -> dict[str, Any]:
    """Return the rates and ratios of a kind, and how many tokens differ."""
    decoded = sum(len(text) - 1 for text in kind.texts["plain"])
    plain, auto = (kind.seconds[mode] for mode in MODES)
    ratios = [slow / fast for slow, fast in zip(plain, auto, strict=True)]
    pairs = zip(kind.texts["plain"], kind.texts["auto"], strict=True)
    return {
        "prompts": len(kind.prompts),
        "plain_tokens_per_second": measure.rounded(decoded / median(plain), 1),
        "auto_tokens_per_second": measure.rounded(decoded / median(auto), 1),
        "ratio": measure.rounded(median(ratios)),
        "ratio_range": [measure.rounded(min(ratios)), measure.rounded(max(ratios))],
        "tokens_per_step": measure.rounded(decoded / kind.steps),
        "differing_tokens": sum(a != b for x, y in pairs for a, b in zip(x, y, strict=True)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=hub.DEFAULT_MODEL)
    parser.add_argument("--prompts", type=Path, help="default: the built-in prompts")
    parser.add_argument("--each", type=int, default=4, help="prompts of each kind")
    parser.add_argument("--tokens", type=int, default=96, help="tokens of each text")
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    model = hub.resolve_model(args.model)
    engine = _core.Engine(str(model), threads=args.threads)
    room = engine.info.context - args.tokens - SPARE_TOKENS
    kinds = make_kinds(model, read(args.prompts) if args.prompts else built_in(), args.each, room)
    scheduler = open_scheduler(engine, model, hub.cache_root())
    probe = measure.BandwidthProbe(engine.info.threads)
    probe.sample()
    for number, name in measure.interleaved(list(kinds), args.repeat):
        run_round(scheduler, kinds[name], args.tokens, number)
        probe.sample()
        print(f"round {number + 1}: {name}", file=sys.stderr, flush=True)
    by_kind = {name: summary(kind) for name, kind in kinds.items()}
    result = {
        "model": args.model,
        "lowest_ratio": min(figures["ratio"] for figures in by_kind.values()),
        "by_kind": by_kind,
        "tokens": args.tokens,
        "repeat": args.repeat,
        "machine": measure.machine_facts(engine.info.isa, engine.info.threads, probe),
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
