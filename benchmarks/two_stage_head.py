"""What the two-stage output layer changes and what it saves, against the full one.

    python benchmarks/two_stage_head.py [--model NAME|DIR] [--steps 2000] [--repeat 7]

The full head writes greedily after the built-in prompts, and both heads see the same tokens. Per step: is the
best token the same, and how far is the distribution (KL divergence of the two-stage head from the full one,
in nats)? Speed: plain decoding of both, prompt by prompt in turn. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt import _core, hub, machine
from mtp_rt.bench import measure, prompts, session
from mtp_rt.model_dir import read_model_dir
from mtp_rt.request import draft_options
from mtp_rt.tokenizer import Tokenizer

CONTEXT = 2048
SPEED_TOKENS = 64

Array = NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=hub.DEFAULT_MODEL)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args()
    folder = Path(hub.resolve_model(args.model))
    engines = {name: open_engine(folder, name == "two_stage") for name in ("full", "two_stage")}
    tokenizer = Tokenizer.load(folder)
    texts = [tokenizer.encode_chat(prompt.conversation()) for prompt in prompts.built_in()]
    result = {
        **fidelity(engines, texts, args.steps),
        **speed(engines, texts, args.repeat),
        "model": args.model,
    }
    print(json.dumps(result, indent=2))
    return 0


def open_engine(folder: Path, two_stage: bool) -> _core.Engine:
    context = min(CONTEXT, read_model_dir(folder).config.context)
    return _core.Engine(str(folder), context=context, two_stage_head=two_stage)


def fidelity(engines: dict[str, _core.Engine], texts: list[list[int]], steps: int) -> dict[str, Any]:
    """Return how often the best token is the same, and the divergence, over greedy steps of the full head."""
    per_prompt = -(-steps // len(texts))
    same, divergences = 0, []
    for text in texts:
        for engine in engines.values():
            engine.release(0)
        rows = text
        for _ in range(per_prompt):
            full, two_stage = (last_logits(engine, rows) for engine in engines.values())
            best = int(full.argmax())
            same += best == int(two_stage.argmax())
            divergences.append(divergence(full, two_stage))
            rows = [best]
    for engine in engines.values():
        engine.release(0)
    return {
        "steps": len(divergences),
        "same_best_token": same,
        "kl_mean": float(np.mean(divergences)),
        "kl_p99": float(np.percentile(divergences, 99)),
    }


def last_logits(engine: _core.Engine, tokens: list[int]) -> Array:
    """Return the logits [vocab] after `tokens`, which are committed to slot 0."""
    logits: Array = np.empty(0, np.float32)
    for start in range(0, len(tokens), engine.info.max_rows):
        part = tokens[start : start + engine.info.max_rows]
        length, count = engine.length(0), len(part)
        last = start + count == len(tokens)
        rows, _, _ = engine.verify(
            [0] * count,
            part,
            [length + row for row in range(count)],
            [row - 1 for row in range(count)],
            [last and row == count - 1 for row in range(count)],
        )
        engine.commit([(0, list(range(count)))])
        logits = rows[-1] if last else logits
    return logits


def divergence(full: Array, two_stage: Array) -> float:
    """Return the KL divergence of softmax(two_stage) from softmax(full), in nats."""
    log_p, log_q = log_softmax(full), log_softmax(two_stage)
    return float(np.sum(np.exp(log_p) * (log_p - log_q)))


def log_softmax(logits: Array) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - float(logits.max())
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


def speed(engines: dict[str, _core.Engine], texts: list[list[int]], repeat: int) -> dict[str, Any]:
    """Return plain decoding rates with either head, and the median of the rounds' ratios.

    Real text matters: how many entries the second stage computes depends on how sure the model is.
    """
    schedulers = {name: _core.Scheduler(engine, verify_ms=[1.0]) for name, engine in engines.items()}
    probe = measure.BandwidthProbe(machine.available_cores())
    seconds: dict[str, list[float]] = {name: [0.0] * repeat for name in engines}
    probe.sample()
    for index in range(repeat):
        for number, text in enumerate(texts):
            names = list(engines) if (index + number) % 2 == 0 else list(engines)[::-1]
            for name in names:
                group = session.decode(schedulers[name], [plain_request(text)])
                seconds[name][index] += group.decode_seconds
        probe.sample()
    tokens = len(texts) * (SPEED_TOKENS - 1)
    info = engines["two_stage"].info
    return {
        "tokens_per_second": {
            name: measure.rounded(tokens / median(one), 2) for name, one in seconds.items()
        },
        "speedup": measure.rounded(
            median(full / two for full, two in zip(seconds["full"], seconds["two_stage"], strict=True))
        ),
        "weight_bytes": {name: engine.info.weight_bytes for name, engine in engines.items()},
        "machine": measure.machine_facts(info.isa, info.threads, probe),
    }


def plain_request(text: list[int]) -> _core.Request:
    """Return a greedy request that drafts nothing and ends at no end token."""
    drafts = draft_options(0, "none")
    return _core.Request(text, _core.SamplingParams(), max_tokens=SPEED_TOKENS, drafts=drafts)


if __name__ == "__main__":
    sys.exit(main())
