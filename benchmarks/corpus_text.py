"""Heads taught on what people wrote against heads taught on the model's own text (papers.md R6).

    python benchmarks/corpus_text.py OUT --gsm8k train.jsonl --tokens 300000 --steps 1200

The same questions, twice: answered by the model, greedily, and with the answers that GSM8K has for them.
The states are recorded from the engine over each, heads of one kind are taught on both from the same first
weights for as many steps, and both draft over the development split of either: the model's own answers are
what it will write when it serves. A run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtp_rt import hub
from mtp_rt.bench import measure
from mtp_rt.model_dir import parse_model_config
from mtp_rt.tokenizer import Tokenizer
from mtp_rt.training.distill.export import HeadKinds, trained_heads, write_heads
from mtp_rt.training.distill.fit import CHECKPOINT, Fitter
from mtp_rt.training.distill.fit_config import FitConfig
from mtp_rt.training.distill.line_file import LineAppender, read_lines
from mtp_rt.training.distill.native_acceptance import measure_native
from mtp_rt.training.distill.pipeline import open_run
from mtp_rt.training.distill.prompts import SuppliedPrompt, prompt_hash
from mtp_rt.training.distill.record import RecordSettings, record_states
from mtp_rt.training.distill.run_folder import RunFolder
from mtp_rt.training.distill.write import WriteSettings, write_text

SEED = 2026
FIT = FitConfig(seed=SEED, evaluate_every=1e9)
MEASURED_SLOTS = 16_000
NOTES = re.compile("<<.*?>>")  # GSM8K's sums for a calculator


def questions(gsm8k: Path) -> dict[str, str]:
    """Return the questions of a GSM8K file and their answers."""
    lines = (json.loads(line) for line in gsm8k.read_text(encoding="utf-8").splitlines())
    return {line["question"]: NOTES.sub("", line["answer"]) for line in lines}


def own_run(out: Path, model: Path, asked: list[str], tokens: int) -> RunFolder:
    """Return the run in which the model answers."""
    run = open_run(out, model, resume=True)
    prompts = [SuppliedPrompt("gsm8k", ({"role": "user", "content": text},)) for text in asked]
    settings = WriteSettings(seed=SEED, answer_temperatures=(0.0,))
    write_text(run, model, settings, tokens=tokens, prompts=prompts, prompts_only=True)
    return run


def corpus_run(out: Path, model: Path, own: RunFolder, answers: dict[str, str]) -> RunFolder:
    """Return the run in which people answered the questions that the model did."""
    run = open_run(out, model, resume=True)
    tokenizer = Tokenizer.load(model)
    end = parse_model_config((model / "config.json").read_bytes()).eos[0]
    by_hash = {prompt_hash(question): answer for question, answer in answers.items()}
    done = sum(1 for _ in read_lines(run.text_file))
    with LineAppender(run.text_file) as text:
        for number, line in enumerate(read_lines(own.text_file)):
            answer = tokenizer.encode(by_hash[line["prompt_hash"]], add_special=False)
            if number >= done:
                text.append(line | {"answer_ids": [*answer, end], "finish": "stop"})
    return run


def taught(run: RunFolder, model: Path, out: Path, config: FitConfig) -> Path:
    """Return the model directory with the heads that a run's states teach."""
    record_states(run, model, RecordSettings())
    Fitter(model, run.states_dir, out, config).run()
    write_heads(
        trained_heads(model, out / CHECKPOINT).heads, model, out, HeadKinds(), acceptance=None, card=""
    )
    return out / "model"


def measured(folder: Path, states: Path) -> dict[str, Any]:
    """Return what heads are worth over a run's development split."""
    found = measure_native(folder, states, MEASURED_SLOTS)
    return {
        "alpha": [measure.rounded(chance) for chance in found.alpha],
        "tokens_per_step": measure.rounded(found.walked or found.tokens_per_step),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="where both runs go")
    parser.add_argument("--gsm8k", type=Path, required=True, help="GSM8K's training file")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--tokens", type=int, default=300_000, help="that the model answers with")
    parser.add_argument("--steps", type=int, default=1200, help="of training, each")
    parser.add_argument("--threads", type=int, default=1, help="of training")
    args = parser.parse_args()
    model = hub.resolve_model(args.model)
    answers = questions(args.gsm8k)
    own = own_run(args.out / "own", model, list(answers), args.tokens)
    runs = {"own": own, "corpus": corpus_run(args.out / "corpus", model, own, answers)}
    config = replace(FIT, steps=args.steps, threads=args.threads)
    models = {name: taught(run, model, args.out / f"{name}-heads", config) for name, run in runs.items()}
    texts = {
        name: sum(len(line["answer_ids"]) for line in read_lines(run.text_file)) for name, run in runs.items()
    }
    points = {
        name: {text: measured(folder, run.states_dir) for text, run in runs.items()}
        for name, folder in models.items()
    }
    result = {
        "model": args.model,
        "preset": config.preset,
        "steps": args.steps,
        "batch": config.batch,
        "answer_tokens": texts,
        "points": points,
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
