"""`mtp-rt chat`: a conversation in the terminal."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from mtp_rt.cli import colours, options, output, session

if TYPE_CHECKING:
    from mtp_rt.llm import LLM
    from mtp_rt.results import Stats
    from mtp_rt.sampling_params import SamplingParams

app = options.new_app()

HELP = """\
/stats  speed and acceptance so far
/reset  forget the conversation
/exit   leave (also Ctrl-D); Ctrl-C stops an answer"""

EXAMPLES = options.examples(
    "mtp-rt chat",
    'mtp-rt chat --system "You answer in one sentence." --temperature 0.7',
    'printf "Hello!\\nWho are you?\\n" | mtp-rt chat --max-tokens 60',
)


@app.command(epilog=EXAMPLES)
def chat(
    *,
    model: options.Model = None,
    system: Annotated[
        str | None,
        options.option("--system", metavar="TEXT", help="What the model is told before the conversation."),
    ] = None,
    max_tokens: options.MaxTokens = 512,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    seed: options.Seed = None,
    stop: options.Stop = None,
    drafts: options.Drafts = "auto",
    draft_source: options.Source = "auto",
    engine: options.Engine = "native",
    provider: options.Provider = "cpu",
    isa: options.Isa = None,
    threads: options.Threads = None,
    context: options.Context = None,
) -> None:
    """Talk with a model. Colours show which tokens came together in one step.

    Commands: /stats, /reset, /help, /exit. Ctrl-C stops the answer, not the program. Messages may be piped
    in, one a line.
    """
    params = session.sampling_params(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        seed=seed,
        stop=stop or (),
    )
    wanted = options.parse_drafts(drafts)
    with session.open_llm(
        model,
        engine=engine,
        drafts=wanted,
        draft_source=draft_source,
        isa=isa,
        provider=provider,
        threads=threads,
        context=context,
        slots=1,
    ) as llm:
        _Chat(llm, params, system).run()


@dataclass
class _Chat:
    """One conversation and its counts."""

    llm: LLM
    params: SamplingParams
    system: str | None
    messages: list[dict[str, str]] = field(default_factory=list)
    answers: list[Stats] = field(default_factory=list)

    def run(self) -> None:
        """Read messages and commands until the input ends or /exit."""
        interactive = sys.stdin.isatty()
        if interactive:
            import readline  # noqa: F401 (editing and history for input())

            output.note(HELP)
        self._reset()
        while (line := _read_line(interactive)) is not None:
            message = line.strip()
            if message == "/exit":
                return
            if message.startswith("/"):
                self._command(message)
            elif message:
                self._turn(message, interactive)

    def _command(self, name: str) -> None:
        if name == "/reset":
            self._reset()
            output.note("The conversation is forgotten.")
        elif name == "/stats":
            output.note(_statistics(self.answers))
        else:
            output.note(HELP if name == "/help" else f"{name} is no command.\n{HELP}")

    def _reset(self) -> None:
        self.messages = [{"role": "system", "content": self.system}] if self.system else []

    def _turn(self, message: str, interactive: bool) -> None:
        """Answer a message. An error leaves the conversation as it was; only a person can go on from it."""
        from mtp_rt.errors import Error

        self.messages.append({"role": "user", "content": message})
        try:
            answer = self._answer()
        except Error as error:
            self.messages.pop()
            if not interactive:
                raise
            output.note(f"error: {error}\n/reset starts over.")
            return
        if answer:
            self.messages.append({"role": "assistant", "content": answer})
        else:
            self.messages.pop()  # stopped before it began

    def _answer(self) -> str:
        """Write the model's answer and return it, as far as it came before Ctrl-C."""
        text = ""
        painter = colours.StepColours(colours.wanted())
        with closing(self.llm.stream_chat(self.messages, self.params)) as deltas:
            try:
                for delta in deltas:
                    text += delta.text
                    output.write(painter.paint(delta))
                    if delta.completion is not None:
                        self.answers.append(delta.completion.stats)
            except KeyboardInterrupt:
                output.note(" [stopped]")
        output.write("\n")
        return text


def _read_line(interactive: bool) -> str | None:
    """Return the next line; None at the end of the input."""
    while True:
        try:
            return input("> ") if interactive else (sys.stdin.readline() or None)
        except EOFError:
            output.note("")
            return None
        except UnicodeDecodeError:
            raise typer.BadParameter("the input is not UTF-8: convert it first") from None
        except KeyboardInterrupt:
            output.note("\n/exit or Ctrl-D leaves.")


def _statistics(answers: list[Stats]) -> str:
    steps = sum(stats.steps for stats in answers)
    seconds = sum(stats.decode_seconds for stats in answers)
    if not steps or not seconds:
        return "Nothing has been written yet."
    tokens = sum(stats.tokens_per_step * stats.steps for stats in answers)
    depth = max(len(stats.accepted_per_position) for stats in answers)
    accepted = [
        sum(
            stats.accepted_per_position[k] * stats.steps
            for stats in answers
            if k < len(stats.accepted_per_position)
        )
        for k in range(depth)
    ]
    shares = " ".join(f"{count / steps:.0%}" for count in accepted) or "-"
    return (
        f"Answers: {len(answers)}, {tokens / seconds:.1f} tokens/s, {tokens / steps:.2f} tokens/step, "
        f"steps that took draft 1, 2, ...: {shares}"
    )
