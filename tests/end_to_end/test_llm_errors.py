"""What LLM refuses: the error's type, and that its message names the argument and the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtp_rt import LLM, SamplingParams
from mtp_rt.errors import ArgumentError, CapacityError, EngineError, Error, UnsupportedError

SHORT = SamplingParams(max_tokens=40, ignore_eos=True)


@pytest.fixture(scope="module")
def llm(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLM]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTP_RT_CACHE", str(tmp_path_factory.mktemp("cache")))
        with LLM(tiny_model, threads=1, context=128) as llm:
            yield llm


@pytest.mark.parametrize(
    ("prompt", "error", "says"),
    [
        ("", ArgumentError, "empty"),
        ([], ArgumentError, "empty"),
        ([[]], ArgumentError, "empty"),
        ([1, -1], ArgumentError, r"prompt\[1\]"),
        ([512], ArgumentError, r"0 \.\. 511"),
        ([1 << 40], ArgumentError, r"prompt\[0\]"),
        ([1.5], ArgumentError, "token ids"),
        (7, ArgumentError, "token ids"),
        ("\ud800", ArgumentError, "surrogate"),
    ],
    ids=ascii,
)
def test_bad_prompts(llm: LLM, prompt: Any, error: type[Error], says: str) -> None:
    with pytest.raises(error, match=says):
        llm.generate(prompt)


def test_a_prompt_longer_than_the_context_names_both_numbers(llm: LLM) -> None:
    with pytest.raises(CapacityError, match=r"131 tokens.* 128"):
        llm.generate([1] * 131)
    with pytest.raises(CapacityError, match=r"128 tokens.* 128"):
        llm.stream([1] * 128)
    assert len(llm.generate([1] * 127, SHORT).token_ids) >= 1


def test_the_context_ends_a_text(llm: LLM) -> None:
    plain = llm.generate([1] * 118, SHORT, drafts=0)
    assert plain.finish_reason == "length"
    assert 10 <= len(plain.token_ids) <= 11
    assert llm.generate([1] * 118, SHORT, drafts=7).token_ids == plain.token_ids


def test_params_must_be_one_or_one_each(llm: LLM) -> None:
    with pytest.raises(ArgumentError, match="one per prompt"):
        llm.generate(["a", "b"], [SHORT] * 3)


def test_a_stream_takes_one_prompt(llm: LLM) -> None:
    with pytest.raises(ArgumentError, match="one prompt"):
        llm.stream([[1], [2]])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "messages", [[], [{"role": "user"}], [{"role": "owl", "content": "hu"}], "hello"], ids=str
)
def test_bad_messages(llm: LLM, messages: Any) -> None:
    with pytest.raises(ArgumentError, match="messages"):
        llm.chat(messages)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"threads": 0}, "threads"),
        ({"threads": -1}, "threads"),
        ({"threads": 100_000}, "threads"),
        ({"slots": 0}, "slots"),
        ({"context": 0}, "context"),
        ({"drafts": 16}, "drafts"),
        ({"drafts": "many"}, "drafts"),
        ({"draft_source": "stars"}, "draft_source"),
        ({"engine": "abacus"}, "abacus"),
        ({"isa": "sse1"}, "sse1"),
    ],
    ids=str,
)
def test_bad_settings(tiny_model: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(Error, match=says):
        LLM(tiny_model, **settings)


def test_a_closed_model(tiny_model: Path) -> None:
    llm = LLM(tiny_model, threads=1, slots=1)
    llm.close()
    llm.close()
    with pytest.raises(EngineError, match="closed"):
        llm.generate("x")


def test_a_model_without_tokenizer_takes_and_returns_ids(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(tiny_model / name)
    with LLM(tiny_model, threads=1) as whole, LLM(tmp_path, threads=1) as bare:
        ids = whole.tokenizer.encode("import ")
        answer = bare.generate(ids, SHORT)
        assert answer.token_ids == whole.generate(ids, SHORT).token_ids
        assert answer.text == ""
        with pytest.raises(UnsupportedError, match=r"tokenizer\.json"):
            bare.generate("import ")
