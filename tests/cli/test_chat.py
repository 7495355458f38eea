"""`mtp-rt chat` with a pipe for a keyboard. The oracle is LLM.chat over the same messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running import Command

from mtp_rt import LLM, SamplingParams
from mtp_rt.cli import chat as chat_module
from mtp_rt.cli import colours
from mtp_rt.errors import CapacityError
from mtp_rt.results import Delta

LIMIT = 16


@pytest.fixture
def chat(command: Command, tiny_model: Path) -> Command:
    def run(*lines: str, flags: tuple[str, ...] = ()) -> Any:
        common = ("--model", str(tiny_model), "--threads", "1", "--max-tokens", str(LIMIT))
        return command("chat", *common, *flags, stdin="".join(f"{line}\n" for line in lines))

    return run


def answers(model: Path, questions: list[str], system: str | None = None) -> list[str]:
    messages = [{"role": "system", "content": system}] if system else []
    texts = []
    with LLM(model, threads=1) as llm:
        for question in questions:
            messages.append({"role": "user", "content": question})
            texts.append(llm.chat(messages, SamplingParams(max_tokens=LIMIT)).text)
            messages.append({"role": "assistant", "content": texts[-1]})
    return texts


def test_answers_know_what_was_said_before(chat: Command, tiny_model: Path) -> None:
    questions = ["What does len do?", "And sorted?"]
    done = chat(*questions)
    assert done.status == 0
    assert done.stdout == "".join(text + "\n" for text in answers(tiny_model, questions))


def test_reset_forgets_and_the_system_prompt_stays(chat: Command, tiny_model: Path) -> None:
    first = answers(tiny_model, ["What does len do?"], "Be brief.")[0]
    done = chat("What does len do?", "/reset", "What does len do?", flags=("--system", "Be brief."))
    assert done.stdout == f"{first}\n{first}\n"


def test_exit_leaves_and_what_follows_is_not_answered(chat: Command) -> None:
    done = chat("/exit", "What does len do?")
    assert (done.status, done.stdout) == (0, "")


def test_stats_and_unknown_commands(chat: Command) -> None:
    done = chat("/stats", "What does len do?", "/stats", "/dance")
    assert done.status == 0
    assert "Nothing has been written yet." in done.stderr
    assert "tokens/step" in done.stderr
    assert "/dance is no command" in done.stderr


def test_a_conversation_beyond_the_context_ends_a_pipe(chat: Command) -> None:
    done = chat("word " * 600, flags=("--context", "64"))
    assert done.status == 1
    assert "context of 64" in done.stderr


class FakeLLM:
    """Streams given deltas; one that is an exception is raised."""

    def __init__(self, *deltas: Delta | BaseException) -> None:
        self.deltas = deltas
        self.closed = False

    def stream_chat(self, messages: Any, params: Any) -> Any:
        try:
            for delta in self.deltas:
                if isinstance(delta, BaseException):
                    raise delta
                yield delta
        finally:
            self.closed = True


def test_ctrl_c_keeps_the_begun_answer_and_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    llm = FakeLLM(Delta("half an", [1]), KeyboardInterrupt())
    conversation = chat_module._Chat(llm, SamplingParams(), None)  # type: ignore[arg-type]
    conversation._turn("hello", interactive=True)
    assert llm.closed
    assert conversation.messages[-1] == {"role": "assistant", "content": "half an"}
    assert capsys.readouterr().err == " [stopped]\n"


def test_an_answer_stopped_before_it_began_leaves_no_trace() -> None:
    conversation = chat_module._Chat(FakeLLM(KeyboardInterrupt()), SamplingParams(), None)  # type: ignore[arg-type]
    conversation._turn("hello", interactive=True)
    assert conversation.messages == []


def test_colours_show_which_tokens_came_together(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = FakeLLM(Delta("a", [1]), Delta("bc", [2, 3]), Delta("", [4, 5]), Delta("de", [6, 7]))
    conversation = chat_module._Chat(llm, SamplingParams(), None)  # type: ignore[arg-type]
    monkeypatch.setattr(colours, "wanted", lambda: True)
    conversation._turn("hello", interactive=True)
    first, _, third, _ = colours.COLOURS
    plain = colours.PLAIN
    assert capsys.readouterr().out == f"a{first}bc{plain}{third}de{plain}\n"


def test_no_color_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colours.wanted()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colours.wanted()
    assert colours.wanted(True)


def test_an_error_does_not_end_an_interactive_chat(capsys: pytest.CaptureFixture[str]) -> None:
    conversation = chat_module._Chat(FakeLLM(CapacityError("full")), SamplingParams(), None)  # type: ignore[arg-type]
    conversation._turn("hello", interactive=True)
    assert conversation.messages == []
    assert "error: full" in capsys.readouterr().err
