"""How far the native engine is from exact arithmetic on a real model.

    python benchmarks/accuracy.py [--model NAME|DIR] [--tokens 2000]

Reference: `transformers` in float64 with the dequantised weights, teacher-forced on the model's own
answers (half greedy, half sampled) to the prompts of tests/engines/real_prompts.py. Measured against it:
the engine as it runs, with the full head, and with the dequantised weights stored as f32; for scale,
`transformers` in float32. The two-stage head is measured against the full head as well. Needs the `test`
extra, 4 GB of memory and some minutes. Prints JSON. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtp_rt import hub
from mtp_rt._core import Engine
from mtp_rt.model_dir import ModelDir, read_model_dir

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "engines")]
from decoding import Case, decode  # noqa: E402
from driving import chain, verify  # noqa: E402
from real_prompts import prompt_ids  # noqa: E402

from tiny_model.store import deinterleave, write_llama  # noqa: E402
from tiny_model.variants import stored_values  # noqa: E402

Logits = NDArray[np.floating[Any]]
CHUNK = 64  # rows a call


class Text:
    """A prompt and its continuation; scored are the rows that choose a token of the continuation."""

    def __init__(self, prompt: Sequence[int], continuation: Sequence[int]) -> None:
        self.tokens = [*prompt, *continuation[:-1]]
        self.first_scored = len(prompt) - 1


def make_texts(engine: Engine, model: Path, tokens: int) -> list[Text]:
    """Return the model's own answers, `tokens` scored rows in all; every second one sampled."""
    prompts = prompt_ids(model)
    each = -(-tokens // len(prompts))
    cases = [
        Case(ids, {"temperature": 0.8 if i % 2 else 0.0, "top_p": 0.95, "seed": i}, each)
        for i, ids in enumerate(prompts)
    ]
    texts = decode(engine, [case.request() for case in cases])
    return [Text(ids, text) for ids, text in zip(prompts, texts, strict=True)]


def engine_logits(engine: Engine, text: Text) -> Logits:
    """Return float32 logits [scored, vocab] of the engine, teacher-forced in chunks."""
    engine.release(0)
    scored = []
    for at in range(0, len(text.tokens), CHUNK):
        rows = chain(engine, 0, text.tokens[at : at + CHUNK])
        wants = [at + i >= text.first_scored for i in range(len(rows))]
        scored.append(verify(engine, rows, wants_logits=wants, wants_state=[], taps=[]).logits)
        engine.commit([(0, range(len(rows)))])
    engine.release(0)
    return np.concatenate(scored)


def trunk_values(directory: ModelDir) -> dict[str, NDArray[np.float32]]:
    """Return the dequantised weights of the trunk, by name."""
    values = stored_values(directory)
    return {name: value for name, value in values.items() if not name.startswith("heads.")}


def load_reference(model: Path) -> torch.nn.Module:
    """Return the model in `transformers` with the dequantised weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    directory = read_model_dir(model)
    fields = json.loads((model / "config.json").read_text(encoding="utf-8"))
    fields.pop("mtp_rt")
    weights = trunk_values(directory)
    if directory.config.rope_layout == "interleaved":
        for name in weights:
            if ".q_proj." in name or ".k_proj." in name:
                weights[name] = deinterleave(weights[name], directory.config.head_dim)
    reference = LlamaForCausalLM(LlamaConfig(**fields))
    reference.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in weights.items()}, strict=False)
    reference.tie_weights()
    return reference.eval()


@torch.no_grad()
def reference_logits(reference: Any, text: Text) -> Logits:
    """Return logits [scored, vocab]."""
    ids = torch.tensor([text.tokens])
    return (
        reference(ids, attention_mask=torch.ones_like(ids), use_cache=False)
        .logits[0, text.first_scored :]
        .numpy()
    )


def write_as_f32(model: Path, target: Path) -> None:
    """Write the dequantised weights of `model` as an f32 model directory."""
    directory = read_model_dir(model)
    fields = json.loads((model / "config.json").read_text(encoding="utf-8"))
    del fields["mtp_rt"]
    layout = directory.config.rope_layout
    write_llama(target, fields, trunk_values(directory), layers="f32", lm_head="f32", rope_layout=layout)


def log_softmax(logits: Logits) -> Logits:
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def divergence(p_logits: Logits, q_logits: Logits) -> NDArray[np.float64]:
    """Return KL(p || q) of every row in nats."""
    p, q = log_softmax(p_logits), log_softmax(q_logits)
    return (np.exp(p) * (p - q)).sum(axis=-1)


def margins(logits: Logits, rows: NDArray[np.bool_]) -> list[float]:
    """Return by how much the best logit of the given rows leads the second."""
    top = np.partition(logits[rows], -2, axis=-1)[:, -2:]
    return [round(float(margin), 4) for margin in np.sort(top[:, 1] - top[:, 0])[::-1]]


class Comparison:
    """Agreement of logits with expected ones, gathered text by text."""

    def __init__(self) -> None:
        self.agreement: list[float] = []
        self.rows: list[tuple[NDArray[np.float64], ...]] = []
        self.margins: list[float] = []

    def add(self, found: Logits, expected: Logits) -> None:
        same = found.argmax(-1) == expected.argmax(-1)
        error = np.abs(found.astype(np.float64) - expected)
        self.agreement.append(float(same.mean()))
        self.rows.append((same, divergence(expected, found), error.max(-1), np.square(error).mean(-1)))
        self.margins += margins(expected, ~same)

    def summary(self) -> dict[str, Any]:
        same, kl, worst, squares = (np.concatenate(column) for column in zip(*self.rows, strict=True))
        return {
            "rows": len(same),
            "top1_agreement": round(float(same.mean()), 4),
            "top1_agreement_per_prompt": [round(min(self.agreement), 3), round(max(self.agreement), 3)],
            "kl_mean": float(f"{kl.mean():.3g}"),
            "kl_max": float(f"{kl.max():.3g}"),
            "logit_error_max": float(f"{worst.max():.3g}"),
            "logit_error_rms": float(f"{np.sqrt(squares.mean()):.3g}"),
            "margins_of_mismatches": sorted(self.margins, reverse=True),
        }


def compare_heads(two: list[Logits], full: list[Logits]) -> dict[str, Any]:
    """Return the two-stage head against the full one; entries equal in both are its exact candidates."""
    comparison = Comparison()
    counts = []
    for found, expected in zip(two, full, strict=True):
        comparison.add(found, expected)
        counts.append((found == expected).sum(-1))
    candidates = np.concatenate(counts)
    summary = comparison.summary()
    summary["candidates_per_row"] = {
        "median": float(np.median(candidates)),
        "mean": round(float(candidates.mean()), 1),
        "p99": float(np.quantile(candidates, 0.99)),
        "max": int(candidates.max()),
    }
    return summary


def greedy_tokens(engine: Engine, model: Path, tokens: int) -> list[int]:
    """Return greedy answers to all prompts, `tokens` tokens in all, end tokens ignored."""
    prompts = prompt_ids(model)
    each = -(-tokens // len(prompts))
    texts = decode(engine, [Case(ids, {}, each).request() for ids in prompts])
    return [token for text in texts for token in text]


def measure(model: Path, tokens: int, threads: int) -> Iterator[tuple[str, Any]]:
    """Yield the parts of the result; each engine is closed before the next is opened."""
    options: dict[str, Any] = {"threads": threads, "slots": 4, "context": 1024}
    engine = Engine(str(model), **options)
    texts = make_texts(engine, model, tokens)
    logits = {"as it runs": [engine_logits(engine, text) for text in texts]}
    greedy_two = greedy_tokens(engine, model, tokens)
    engine = Engine(str(model), two_stage_head=False, **options)
    logits["full head"] = [engine_logits(engine, text) for text in texts]
    greedy_full = greedy_tokens(engine, model, tokens)
    with tempfile.TemporaryDirectory() as folder:
        write_as_f32(model, Path(folder) / "f32")
        engine = Engine(str(Path(folder) / "f32"), **options)
        logits["f32 weights"] = [engine_logits(engine, text) for text in texts]
    del engine
    reference = load_reference(model)
    logits["transformers float32"] = [reference_logits(reference.float(), text) for text in texts]
    comparisons = {name: Comparison() for name in logits}
    reference = reference.double()
    for i, text in enumerate(texts):
        expected = reference_logits(reference, text)
        for name, comparison in comparisons.items():
            comparison.add(logits[name][i], expected)
        print(f"compared {i + 1} of {len(texts)} texts", file=sys.stderr, flush=True)
    yield "against_transformers_float64", {name: c.summary() for name, c in comparisons.items()}
    heads = compare_heads(logits["as it runs"], logits["full head"])
    heads["margin"] = read_model_dir(model).config.two_stage_margin
    heads["greedy_tokens"] = len(greedy_full)
    heads["greedy_tokens_that_differ"] = sum(a != b for a, b in zip(greedy_two, greedy_full, strict=True))
    yield "two_stage_head_against_full", heads


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=hub.DEFAULT_MODEL)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    result = {"model": args.model, "threads": args.threads}
    result |= measure(hub.resolve_model(args.model), args.tokens, args.threads)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
