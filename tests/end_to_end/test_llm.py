"""LLM on the tiny model. The oracle is its own plain text, greedy or seeded: nothing may change a token."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt import LLM, SamplingParams
from mtp_rt.request import Drafts

PROMPTS = ["def main(", "import ", "    return self.", "class Reader:\n"]
REPEATING = "x = 1\n" * 8
SAMPLED = {"temperature": 0.9, "top_p": 0.95, "seed": 11}
LONG = SamplingParams(max_tokens=100_000, ignore_eos=True)


@pytest.fixture(scope="module")
def llm(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLM]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTP_RT_CACHE", str(tmp_path_factory.mktemp("cache")))
        with LLM(tiny_model, threads=1) as llm:
            yield llm


def params(**fields: Any) -> SamplingParams:
    return SamplingParams(**{"max_tokens": 48, "ignore_eos": True} | fields)


def busy(llm: LLM) -> int:
    """Requests that hold a slot or wait for one, once the scheduler has seen what was cancelled."""
    assert llm._completer is not None
    scheduler = llm._completer._runner._scheduler
    scheduler.run_once()
    return scheduler.running + scheduler.waiting


@pytest.mark.parametrize("sampling", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("drafts", [1, 2, 4, 7, 15, "auto"])
def test_drafts_change_no_token(llm: LLM, drafts: Drafts, sampling: dict[str, Any]) -> None:
    for prompt in [*PROMPTS, REPEATING]:
        plain = llm.generate(prompt, params(**sampling), drafts=0)
        drafted = llm.generate(prompt, params(**sampling), drafts=drafts)
        assert drafted.token_ids == plain.token_ids
        assert drafted.text == plain.text
        assert plain.stats.steps == len(plain.token_ids) - 1
        assert plain.stats.accepted_per_position == []


def test_drafts_save_steps(llm: LLM) -> None:
    """On a text that repeats itself lookup must be right often, or the other tests prove nothing."""
    stats = llm.generate(REPEATING, params(), drafts=4).stats
    assert stats.tokens_per_step > 1.2
    assert stats.tokens_per_step * stats.steps == pytest.approx(47)


def test_a_list_gives_what_single_calls_give(llm: LLM) -> None:
    each = [params(), params(**SAMPLED), params(max_tokens=5), params(temperature=1.5, seed=2, top_k=20)]
    together = llm.generate(PROMPTS, each, drafts=3)
    alone = [llm.generate(prompt, own, drafts=0) for prompt, own in zip(PROMPTS, each, strict=True)]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    assert [one.text for one in together] == [one.text for one in alone]


def test_more_prompts_than_slots(llm: LLM) -> None:
    prompts = PROMPTS * 6
    assert len(prompts) > llm.info.slots
    texts = [one.text for one in llm.generate(prompts, params(max_tokens=8))]
    assert texts == texts[:4] * 6


def test_token_ids_are_prompts_too(llm: LLM) -> None:
    ids = [llm.tokenizer.encode(prompt) for prompt in PROMPTS[:2]]
    texts = [llm.generate(prompt, params()).text for prompt in PROMPTS[:2]]
    assert [one.text for one in llm.generate(ids, params())] == texts
    assert llm.generate(ids[0], params()).text == texts[0]
    assert llm.generate(ids[0], params()).prompt_tokens == len(ids[0])


@pytest.mark.parametrize("drafts", [0, 5])
def test_a_stream_adds_up_to_the_completion(llm: LLM, drafts: Drafts) -> None:
    whole = llm.generate(PROMPTS[0], params(**SAMPLED), drafts=0)
    deltas = list(llm.stream(PROMPTS[0], params(**SAMPLED), drafts=drafts))
    completion = deltas[-1].completion
    assert completion is not None
    assert [delta.completion for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert "".join(delta.text for delta in deltas) == completion.text == whole.text
    assert [token for delta in deltas for token in delta.token_ids] == completion.token_ids == whole.token_ids
    assert len(deltas) == completion.stats.steps + 1


def test_interleaved_streams_give_what_single_calls_give(llm: LLM) -> None:
    streams = [llm.stream(prompt, params(), drafts=3) for prompt in PROMPTS]
    texts = [""] * len(streams)
    for _ in range(49):
        for index, stream in enumerate(streams):
            texts[index] += "".join(delta.text for delta in [next(stream, None)] if delta)
    assert texts == [one.text for one in llm.generate(PROMPTS, params())]


def test_chat_answers_what_the_template_renders(llm: LLM) -> None:
    messages = [{"role": "user", "content": "What does len do?"}]
    rendered = llm.tokenizer.encode_chat(messages)
    expected = llm.generate(rendered, params(ignore_eos=False))
    assert llm.chat(messages, params(ignore_eos=False)).text == expected.text
    deltas = list(llm.stream_chat(messages, params(ignore_eos=False), drafts=2))
    assert "".join(delta.text for delta in deltas) == expected.text


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_stop_strings_cut_where_the_text_has_them(llm: LLM, data: st.DataObject) -> None:
    sampling = data.draw(st.sampled_from([{}, SAMPLED]))
    plain = llm.generate(PROMPTS[2], params(**sampling), drafts=0)
    start = data.draw(st.integers(0, len(plain.text) - 1))
    stop = plain.text[start : start + data.draw(st.integers(1, 5))]
    include = data.draw(st.booleans())
    asked = params(stop=stop, include_stop_str_in_output=include, **sampling)
    deltas = list(llm.stream(PROMPTS[2], asked, drafts=data.draw(st.sampled_from([0, 3, "auto"]))))
    cut = deltas[-1].completion
    assert cut is not None
    assert (cut.finish_reason, cut.stop_reason) == ("stop", stop)
    assert cut.text == plain.text[: plain.text.index(stop)] + (stop if include else "")
    assert "".join(delta.text for delta in deltas) == cut.text
    assert cut.token_ids == plain.token_ids[: len(cut.token_ids)]
    assert stop in llm.tokenizer.decode(cut.token_ids)
    assert stop not in llm.tokenizer.decode(cut.token_ids[:-1])


@pytest.mark.parametrize("drafts", [0, 6])
def test_max_tokens_is_exact_in_the_middle_of_a_commit(llm: LLM, drafts: Drafts) -> None:
    plain = llm.generate(REPEATING, params(), drafts=0)
    for limit in range(1, 24):
        short = llm.generate(REPEATING, params(max_tokens=limit), drafts=drafts)
        assert short.token_ids == plain.token_ids[:limit]
        assert short.finish_reason == "length"


def test_stop_token_ids_end_the_text(llm: LLM) -> None:
    plain = llm.generate(PROMPTS[0], params(), drafts=0)
    stop = plain.token_ids[10]
    first = plain.token_ids.index(stop)
    cut = llm.generate(PROMPTS[0], params(stop_token_ids=[stop]), drafts=4)
    assert cut.token_ids == plain.token_ids[: first + 1]
    assert (cut.finish_reason, cut.stop_reason) == ("stop", stop)
    assert cut.text == llm.tokenizer.decode(plain.token_ids[:first])


def test_logprobs_stand_beside_every_token(llm: LLM) -> None:
    plain = llm.generate(PROMPTS[0], params(logprobs=3), drafts=0)
    drafted = llm.generate(PROMPTS[0], params(logprobs=3), drafts=4)
    assert plain.logprobs == drafted.logprobs
    assert plain.logprobs is not None
    for token, entry in zip(plain.token_ids, plain.logprobs, strict=True):
        assert next(iter(entry)) == token
        assert entry[token].rank == 1  # greedy
        assert len(entry) == 3
        assert all(item.logprob <= 0 for item in entry.values())
    assert llm.generate(PROMPTS[0], params()).logprobs is None


def test_the_reported_seed_repeats_the_text(llm: LLM) -> None:
    hot = {"temperature": 1.2, "max_tokens": 24}
    first = llm.generate(PROMPTS[1], params(**hot))
    assert llm.generate(PROMPTS[1], params(seed=first.seed, **hot)).token_ids == first.token_ids
    others = llm.generate([PROMPTS[1]] * 4, params(**hot))
    assert len({one.seed for one in others}) == 4


def test_a_closed_stream_gives_its_slot_back(llm: LLM) -> None:
    before = llm.generate(PROMPTS[0], params()).text
    for _ in range(3 * llm.info.slots):
        stream = llm.stream(PROMPTS[1], LONG)
        next(stream)
        stream.close()
    assert busy(llm) == 0
    assert llm.generate(PROMPTS[0], params()).text == before


def test_ctrl_c_stops_and_leaves_the_model_usable(llm: LLM) -> None:
    before = llm.generate(PROMPTS[0], params()).text
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        while True:  # the context ends a text before the timer does
            llm.generate([PROMPTS[1]] * 12, LONG)
    assert busy(llm) == 0
    assert llm.generate(PROMPTS[0], params()).text == before


def test_threads_share_a_model(llm: LLM) -> None:
    expected = [one.text for one in llm.generate(PROMPTS, params())]
    texts: dict[int, str] = {}

    def work(index: int) -> None:
        texts[index] = llm.generate(PROMPTS[index], params(), drafts=index).text

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [texts[index] for index in range(4)] == expected
