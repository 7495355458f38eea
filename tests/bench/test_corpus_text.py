"""benchmarks/corpus_text.py on the tiny model: the same questions, two kinds of answers."""

from __future__ import annotations

import importlib
import json
import keyword
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")

WORDS = keyword.kwlist + dir(str)  # what the tiny model has read most of


def test_heads_of_both_texts_draft_over_both(
    benchmark_script: Callable[[str], ModuleType],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = benchmark_script("corpus_text")
    small = script.FitConfig(draft_vocab=128, intermediate_size=32, batch=16, warm_up=1, dev_slots=64)
    monkeypatch.setattr(script, "FIT", small)
    monkeypatch.setattr(script, "MEASURED_SLOTS", 64)
    gsm8k, out = tmp_path / "train.jsonl", tmp_path / "out"
    choice = random.Random(3)
    problems = [
        {
            "question": f"{' '.join(choice.sample(WORDS, 9))}. How many pens do {n} of them hold?",
            "answer": f"2 of them hold 2*{n}=<<2*{n}={2 * n}>>{2 * n} pens.\n#### {2 * n}",
        }
        for n in range(200)
    ]
    gsm8k.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    command = ["corpus_text.py", str(out), "--gsm8k", str(gsm8k), "--model", str(tiny_model)]
    monkeypatch.setattr(sys, "argv", [*command, "--tokens", "100000", "--steps", "3"])
    assert script.main() == 0
    result = json.loads(capsys.readouterr().out)
    for point in result["points"].values():
        for text in ("own", "corpus"):
            assert len(point[text]["alpha"]) == small.heads
            assert 1 <= point[text]["tokens_per_step"] <= 1 + small.heads
    own, corpus = (
        [json.loads(line) for line in (out / name / "text" / "dialogues.jsonl").read_text().splitlines()]
        for name in ("own", "corpus")
    )
    assert [line["prompt_ids"] for line in own] == [line["prompt_ids"] for line in corpus]
    assert result["answer_tokens"]["corpus"] == sum(len(line["answer_ids"]) for line in corpus)
    answer = script.Tokenizer.load(tiny_model).decode(corpus[0]["answer_ids"])
    assert "pens." in answer and "<<" not in answer and "####" in answer
    text = importlib.import_module("report_training").corpus_text(result)
    assert "| the model's own answers |" in text and "| GSM8K's answers |" in text
