"""The default model: its plain text, decoded alone, is the oracle of every width, batch and draft source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtp_rt import LLM, SamplingParams
from mtp_rt.request import Drafts

pytestmark = pytest.mark.model

README = Path(__file__).resolve().parents[2] / "README.md"

QUESTIONS = [
    "Explain in three sentences why the sky is blue.",
    "Write a Python function that merges two sorted lists.",
    "A train travels 60 km in 45 minutes. How far does it travel in two hours?",
    "List five uses of an old newspaper as a JSON array of strings.",
    "Repeat this line four times: the quick brown fox jumps over the lazy dog.",
    "What is the capital of France, and what is it known for?",
    "Write a short poem about the sea.",
    "Translate into French: good morning, how are you today?",
    "Count from 1 to 20, separated by commas.",
    "What are the planets of the solar system, in order?",
    "Write a polite email that declines a meeting.",
    "Explain recursion to a child.",
    "Fix the spelling: I recieved teh pakage yesterdey.",
    "Give me a recipe for pancakes.",
    "Write an SQL query that counts the users of each country.",
    "Summarise: The cat sat on the mat. The cat was black. The mat was red. The cat liked the mat.",
]
SAMPLED = {"temperature": 0.8, "top_p": 0.95, "seed": 7}


@pytest.fixture(scope="module")
def llm(real_model: Path) -> Iterator[LLM]:
    with LLM(real_model, slots=16, context=512) as llm:
        yield llm


@pytest.fixture(scope="module")
def prompts(llm: LLM) -> list[list[int]]:
    return [llm.tokenizer.encode_chat([{"role": "user", "content": text}]) for text in QUESTIONS]


def plain(llm: LLM, prompts: list[list[int]], params: SamplingParams) -> list[list[int]]:
    return [llm.generate(prompt, params, drafts=0).token_ids for prompt in prompts]


@pytest.fixture(scope="module")
def greedy(llm: LLM, prompts: list[list[int]]) -> list[list[int]]:
    return plain(llm, prompts, SamplingParams(max_tokens=64))


@pytest.mark.parametrize("drafts", [1, 3, 7, "auto"])
def test_greedy_text_is_that_of_plain_decoding(
    llm: LLM, prompts: list[list[int]], greedy: list[list[int]], drafts: Drafts
) -> None:
    together = llm.generate(prompts, SamplingParams(max_tokens=64), drafts=drafts)
    assert [one.token_ids for one in together] == greedy
    if drafts == 7:  # or the equality would prove nothing
        assert sum(sum(one.stats.accepted_per_position) * one.stats.steps for one in together) > 50


def test_sampled_text_is_that_of_plain_decoding(llm: LLM, prompts: list[list[int]]) -> None:
    params = SamplingParams(max_tokens=48, **SAMPLED)
    some = prompts[:6]
    together = llm.generate(some, params, drafts=4)
    assert [one.token_ids for one in together] == plain(llm, some, params)


def test_the_answer_makes_sense(llm: LLM) -> None:
    """The weights, the tokenizer and the template belong together: a model this small knows this much."""
    answer = llm.chat([{"role": "user", "content": QUESTIONS[5]}], SamplingParams(max_tokens=24))
    assert "Paris" in answer.text
    stop = llm.chat([{"role": "user", "content": "Say only the word yes."}], SamplingParams(max_tokens=64))
    assert stop.finish_reason == "stop"
    assert "<|im_end|>" not in stop.text


def test_the_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str], real_model: Path) -> None:
    (code,) = (part.split("```")[0] for part in README.read_text(encoding="utf-8").split("```python\n")[1:])
    names: dict[str, Any] = {}
    exec(compile(code, str(README), "exec"), names)
    names["llm"].close()
    assert len(capsys.readouterr().out) > 100
