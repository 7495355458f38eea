"""`mtp-rt generate`: one prompt, one answer."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtp_rt.cli import colours, options, output, session

if TYPE_CHECKING:
    from mtp_rt.llm import LLM
    from mtp_rt.request import Drafts
    from mtp_rt.results import Completion, Delta
    from mtp_rt.sampling_params import SamplingParams

app = options.new_app()

WARM_UP_TOKENS = 16

EXAMPLES = options.examples(
    'mtp-rt generate "Explain why the sky is blue."',
    'mtp-rt generate --temperature 0.8 --top-p 0.95 --seed 7 "Write a haiku."',
    "cat question.txt | mtp-rt generate --max-tokens 100 --json",
    "mtp-rt generate --raw --stop $'\\n\\n' \"def fibonacci(n):\"",
    'mtp-rt generate --compare "List ten animals, then list them again in reverse."',
)

Prompt = Annotated[
    str | None, typer.Argument(metavar="PROMPT", help="The text to answer; - or none reads it from stdin.")
]
Compare = Annotated[
    bool,
    options.option(
        "--compare",
        help="Decode with drafts and plainly; show the speed-up and check that the text is identical.",
    ),
]
Color = Annotated[
    bool | None,
    options.option(
        "--color/--no-color",
        help="Give the tokens of one step one colour. Default: on a terminal.",
        show_default=False,
    ),
]


@app.command(epilog=EXAMPLES)
def generate(
    prompt: Prompt = None,
    *,
    model: options.Model = None,
    max_tokens: options.MaxTokens = 256,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    seed: options.Seed = None,
    stop: options.Stop = None,
    ignore_eos: options.IgnoreEos = False,
    drafts: options.Drafts = "auto",
    draft_source: options.Source = "auto",
    engine: options.Engine = "native",
    provider: options.Provider = "cpu",
    isa: options.Isa = None,
    threads: options.Threads = None,
    context: options.Context = None,
    raw: options.Raw = False,
    compare: Compare = False,
    color: Color = None,
    json_output: options.Json = False,
) -> None:
    """Answer a prompt. The text appears on stdout as it is written.

    The model's chat template is applied where it has one, unless --raw.
    """
    from mtp_rt.sampling_params import new_seed

    params = session.sampling_params(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        seed=new_seed() if seed is None else seed,
        stop=stop or (),
        ignore_eos=ignore_eos,
    )
    wanted = options.parse_drafts(drafts)
    text = session.read_prompt(prompt)
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
        task = _Task(llm, text, params, raw, colours.wanted(color))
        if compare:
            _compare(task, wanted, json_output)
        elif json_output:
            output.write_json(as_json(task.run(wanted, show=False), llm.load_seconds))
        else:
            _summarise(task.run(wanted, show=True))


@dataclasses.dataclass(frozen=True)
class _Task:
    """A prompt for a model, to be run once or several times."""

    llm: LLM
    text: str
    params: SamplingParams
    raw: bool
    coloured: bool

    def run(self, drafts: Drafts, *, show: bool, max_tokens: int | None = None) -> Completion:
        """Return the answer; `show` writes it to stdout step by step."""
        params = (
            self.params if max_tokens is None else dataclasses.replace(self.params, max_tokens=max_tokens)
        )
        completion = None
        painter = colours.StepColours(self.coloured)
        with closing(self._deltas(params, drafts)) as deltas:
            for delta in deltas:
                if show and delta.text:
                    output.write(painter.paint(delta))
                completion = delta.completion
        if completion is None:
            raise AssertionError("a stream ends with its completion")
        if show and not completion.text.endswith("\n"):
            output.write("\n")
        return completion

    def _deltas(self, params: SamplingParams, drafts: Drafts) -> Generator[Delta, None, None]:
        if self.raw or not self.llm.tokenizer.has_chat_template:
            return self.llm.stream(self.text, params, drafts=drafts)
        return self.llm.stream_chat([{"role": "user", "content": self.text}], params, drafts=drafts)


def as_json(completion: Completion, load_seconds: float) -> dict[str, Any]:
    """Return the JSON form of a completion (docs/benchmarks.md, `generate`)."""
    stats = completion.stats
    return {
        "text": completion.text,
        "token_ids": completion.token_ids,
        "finish_reason": completion.finish_reason,
        "stop_reason": completion.stop_reason,
        "prompt_tokens": completion.prompt_tokens,
        "seed": completion.seed,
        "steps": stats.steps,
        "tokens_per_step": stats.tokens_per_step,
        "accepted_per_position": stats.accepted_per_position,
        "seconds": {"load": load_seconds, "prefill": stats.prefill_seconds, "decode": stats.decode_seconds},
        "tokens_per_second": stats.tokens_per_second,
    }


def speed(completion: Completion) -> str:
    """Return one line: tokens, tokens per second, tokens per step."""
    stats = completion.stats
    return (
        f"{len(completion.token_ids)} tokens, {stats.tokens_per_second:.1f} tokens/s, "
        f"{stats.tokens_per_step:.2f} tokens/step"
    )


def _summarise(completion: Completion) -> None:
    if not sys.stderr.isatty():
        return
    cut = " (cut by --max-tokens or the context)" if completion.finish_reason == "length" else ""
    output.note(f"\n{speed(completion)}{cut}")


def _compare(task: _Task, drafts: Drafts, json_output: bool) -> None:
    for warm_up in (0, drafts):
        task.run(warm_up, show=False, max_tokens=min(WARM_UP_TOKENS, task.params.max_tokens))
    drafted = task.run(drafts, show=not json_output)
    plain = task.run(0, show=False)
    equal = plain.token_ids == drafted.token_ids
    slow, fast = plain.stats.tokens_per_second, drafted.stats.tokens_per_second
    ratio = fast / slow if slow else 0.0
    if json_output:
        result = as_json(drafted, task.llm.load_seconds)
        result["plain"] = {"tokens_per_second": slow, "token_ids": plain.token_ids}
        output.write_json(result | {"speedup": ratio, "equal": equal})
    else:
        output.write(
            f"\n{drafted.stats.tokens_per_step:.2f} tokens per step, {ratio:.2f}x plain decoding "
            f"({fast:.1f} against {slow:.1f} tokens/s), text identical: {'yes' if equal else 'NO'}\n"
        )
    if not equal:
        from mtp_rt.errors import EngineError

        raise EngineError(
            "plain and drafted decoding differ: please report this with the output of `mtp-rt env`"
        )
