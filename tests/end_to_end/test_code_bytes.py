"""The model that comes along: it runs as it is, and its drafts change nothing."""

from __future__ import annotations

import pytest

from mtp_rt import LLM, SamplingParams

PROMPTS = ("def fibonacci(", "import os\nimport sys\n\n\nclass Reader:\n", "# é ∑ 𝄞\nx = [", '    """Return ')
GREEDY = SamplingParams(max_tokens=96, ignore_eos=True)
SAMPLED = SamplingParams(max_tokens=96, ignore_eos=True, temperature=0.8, top_p=0.9, seed=3)


@pytest.fixture(scope="module")
def plain() -> LLM:
    return LLM("code-bytes", drafts=0)


@pytest.mark.parametrize("drafts", ["auto", 1, 7])
@pytest.mark.parametrize("params", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_drafts_change_no_byte(plain: LLM, drafts: int | str, params: SamplingParams) -> None:
    drafting = LLM("code-bytes", drafts=drafts)
    for expected, found in zip(
        plain.generate(list(PROMPTS), params), drafting.generate(list(PROMPTS), params), strict=True
    ):
        assert found.token_ids == expected.token_ids
        assert found.text == expected.text
        assert len(found.token_ids) == params.max_tokens


def test_its_heads_know_what_follows() -> None:
    """Seven drafts behind code: on average more than two of them stand."""
    results = LLM("code-bytes", drafts=7).generate(list(PROMPTS), GREEDY)
    tokens = sum(len(result.token_ids) for result in results)
    assert tokens > 2.0 * sum(result.stats.steps for result in results)


def test_bytes_are_its_tokens(plain: LLM) -> None:
    assert plain.tokenizer.encode("é = 1\n") == list("é = 1\n".encode())
