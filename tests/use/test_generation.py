"""Runner and Generation over a scheduler that follows a script; the script is the oracle."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Event, ScriptedScheduler

from mtp_rt.errors import EngineError
from mtp_rt.generation import Generation
from mtp_rt.results import Completion, Delta, Logprob
from mtp_rt.runner import Runner
from mtp_rt.sampling_params import SamplingParams

END = 0  # the end token of these tests; token n > 0 stands for the n-th letter
TEXT = " abcdefghijklmnopqrstuvwxyz"


class Letters:
    """A tokenizer whose token 26 begins a character that token 25 completes."""

    def __init__(self) -> None:
        self.open = ""

    def push(self, token: int) -> str:
        if token == 26:
            self.open = "\N{REPLACEMENT CHARACTER}"
            return ""
        self.open = ""
        return TEXT[token]

    def finish(self) -> str:
        return self.open


def start(
    runner: Runner, commits: list[list[int]], finish: str = "length", **fields: Any
) -> tuple[int, Generation]:
    number = runner.submit((commits, finish))  # type: ignore[arg-type]
    generation = Generation(
        SamplingParams(**fields),
        seed=5,
        prompt_tokens=3,
        end_tokens=[END],
        decoding=Letters(),
        cancel=lambda: runner.finish(number),
    )
    return number, generation


def read(runner: Runner, number: int, generation: Generation) -> list[Delta]:
    deltas = []
    while not deltas or deltas[-1].completion is None:
        deltas.append(generation.take(runner.next_event([number])))
    return deltas


def whole(commits: list[list[int]], finish: str = "length", **fields: Any) -> tuple[list[Delta], Completion]:
    runner = Runner(ScriptedScheduler())
    deltas = read(runner, *start(runner, commits, finish, **fields))
    completion = deltas[-1].completion
    assert completion is not None
    return deltas, completion


def test_deltas_add_up_to_the_completion() -> None:
    deltas, completion = whole([[8], [9, 1, 10], [11, 12]], logprobs=0)
    assert completion.text == "hiajkl" == "".join(delta.text for delta in deltas)
    assert (
        completion.token_ids
        == [8, 9, 1, 10, 11, 12]
        == [token for delta in deltas for token in delta.token_ids]
    )
    assert completion.logprobs == [{token: Logprob(-token, 1)} for token in completion.token_ids]
    assert (completion.finish_reason, completion.stop_reason) == ("length", None)
    assert (completion.prompt_tokens, completion.seed) == (3, 5)


def test_statistics_leave_out_the_prompt_and_the_first_token() -> None:
    stats = whole([[8], [9, 1, 10], [11, 12], [13]])[1].stats
    assert stats.steps == 3
    assert stats.tokens_per_step == pytest.approx(6 / 3)
    assert stats.tokens_per_second == pytest.approx(6 / 3.0)
    assert stats.accepted_per_position == pytest.approx([2 / 3, 1 / 3])
    assert (stats.prefill_seconds, stats.decode_seconds) == (0.5, 3.0)


def test_one_token_has_no_rate() -> None:
    stats = whole([[8]])[1].stats
    assert (stats.steps, stats.tokens_per_step, stats.tokens_per_second) == (0, 0.0, 0.0)


def test_the_end_token_counts_but_is_not_shown() -> None:
    completion = whole([[8], [9, END]], "stop")[1]
    assert (completion.text, completion.token_ids) == ("hi", [8, 9, END])
    assert (completion.finish_reason, completion.stop_reason) == ("stop", None)


def test_a_stop_token_is_the_reason_and_shown_only_on_request() -> None:
    completion = whole([[8], [9, 1]], "stop", stop_token_ids=[1])[1]
    assert (completion.text, completion.stop_reason) == ("hi", 1)
    asked = whole([[8], [9, 1]], "stop", stop_token_ids=[1], include_stop_str_in_output=True)[1]
    assert asked.text == "hia"


def test_a_stop_string_cuts_the_tokens_of_its_commit_and_cancels() -> None:
    scheduler = ScriptedScheduler()
    runner = Runner(scheduler)
    deltas = read(runner, *start(runner, [[8], [9, 1, 10, 11], [12]], stop="aj", logprobs=0))
    completion = deltas[-1].completion
    assert completion is not None
    assert (completion.text, completion.token_ids) == ("hi", [8, 9, 1, 10])
    assert (completion.finish_reason, completion.stop_reason) == ("stop", "aj")
    assert completion.logprobs is not None and len(completion.logprobs) == 4
    assert completion.stats.steps == 1
    assert scheduler.cancelled == [1] and scheduler.running == 0


def test_a_stop_string_in_the_last_commit_needs_no_cancel() -> None:
    completion = whole([[8], [9, 1, 10]], stop=["a"])[1]
    assert (completion.text, completion.token_ids, completion.finish_reason) == ("hi", [8, 9, 1], "stop")


def test_half_a_stop_string_appears_at_the_end() -> None:
    deltas, completion = whole([[8], [9, 1], [2]], stop="abc")
    assert completion.text == "hiab"
    assert [delta.text for delta in deltas] == ["h", "i", "ab"]


def test_an_unfinished_character_appears_at_the_end() -> None:
    deltas, completion = whole([[8], [26]])
    assert completion.text == "h\N{REPLACEMENT CHARACTER}"
    assert "".join(delta.text for delta in deltas) == completion.text


def test_a_failed_request_raises_its_error() -> None:
    with pytest.raises(EngineError, match="the engine failed"):
        whole([[8], [9]], "error")


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=5),
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=5),
    st.lists(st.booleans(), max_size=12),
)
def test_half_read_streams_do_not_disturb_each_other(
    first: list[list[int]], second: list[list[int]], turns: list[bool]
) -> None:
    runner = Runner(ScriptedScheduler())
    streams = [start(runner, first, stop="cb"), start(runner, second, stop="cb")]
    texts, done = ["", ""], [False, False]
    for turn in [*map(int, turns), *[0] * 9, *[1] * 9]:
        if not done[turn]:
            number, generation = streams[turn]
            delta = generation.take(runner.next_event([number]))
            texts[turn] += delta.text
            done[turn] = delta.completion is not None
    for text, commits in zip(texts, (first, second), strict=True):
        assert text == "".join(TEXT[token] for commit in commits for token in commit).split("cb")[0]


def test_threads_share_a_runner() -> None:
    runner = Runner(ScriptedScheduler())
    answers: dict[int, str] = {}

    def work(index: int) -> None:
        deltas = read(runner, *start(runner, [[index]] * 50))
        answers[index] = "".join(delta.text for delta in deltas)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {index: TEXT[index] * 50 for index in range(1, 9)}


def test_a_short_request_need_not_wait_for_a_long_one() -> None:
    class Slow(ScriptedScheduler):
        def run_once(self) -> list[Any]:
            time.sleep(0.001)
            return super().run_once()

    runner = Runner(Slow())
    long_number, long_generation = start(runner, [[1]] * 400)
    short = start(runner, [[2]] * 4)
    progress: list[int] = []
    seen_by_short: list[int] = []

    def read_long() -> None:
        while long_generation.take(runner.next_event([long_number])).completion is None:
            progress.append(1)

    def read_short() -> None:
        read(runner, *short)
        seen_by_short.append(len(progress))

    threads = [threading.Thread(target=read_long), threading.Thread(target=read_short)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(progress) == 399
    assert seen_by_short[0] < 200


@pytest.mark.parametrize("failure", [KeyboardInterrupt, EngineError])
def test_an_interrupted_step_cancels_everything_and_leaves_the_runner_usable(
    failure: type[BaseException],
) -> None:
    scheduler = ScriptedScheduler(fail_at=[2], failure=failure)
    runner = Runner(scheduler)
    number, generation = start(runner, [[8]] * 5)
    other, _ = start(runner, [[9]] * 5)
    generation.take(runner.next_event([number]))
    with pytest.raises(failure):
        runner.next_event([number])
    assert scheduler.running == 0
    with pytest.raises(EngineError, match="submit it again"):  # its events may be lost: no gap in its text
        runner.next_event([other])
    assert read(runner, *start(runner, [[8], [9]]))[-1].completion is not None


def test_a_cancelled_request_is_forgotten() -> None:
    scheduler = ScriptedScheduler()
    runner = Runner(scheduler)
    number, _ = start(runner, [[8]] * 5)
    runner.cancel(number)
    runner.cancel(number)
    assert scheduler.cancelled == [number]
    with pytest.raises(EngineError):
        runner.next_event([number])


def test_a_scheduler_that_forgets_a_request_does_not_hang_the_reader() -> None:
    class Forgetful(ScriptedScheduler):
        def run_once(self) -> list[Event]:
            self._running.clear()
            return []

    runner = Runner(Forgetful())
    number, _ = start(runner, [[8]])
    with pytest.raises(EngineError, match="not finished"):
        runner.next_event([number])
