"""`mtp-rt generate` against LLM, and the keys that DESIGN section 7 promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from running import Command

from mtp_rt import LLM, SamplingParams
from mtp_rt.cli.colours import COLOURS

KEYS = {
    "text",
    "token_ids",
    "finish_reason",
    "prompt_tokens",
    "steps",
    "tokens_per_step",
    "accepted_per_position",
    "seconds",
    "tokens_per_second",
}


@pytest.fixture
def generate(command: Command, tiny_model: Path) -> Command:
    def run(*arguments: str, **settings: Any) -> Any:
        return command("generate", "--model", str(tiny_model), "--threads", "1", *arguments, **settings)

    return run


def test_json_has_the_promised_keys(generate: Command) -> None:
    result = generate("--json", "--raw", "--ignore-eos", "--max-tokens", "12", "import ").json
    assert result.keys() >= KEYS | {"seed", "stop_reason"}
    assert result["seconds"].keys() == {"load", "prefill", "decode"}
    assert len(result["token_ids"]) == 12
    assert result["finish_reason"] == "length"


def test_raw_text_is_that_of_generate_and_chat_text_that_of_chat(generate: Command, tiny_model: Path) -> None:
    params = SamplingParams(max_tokens=20)
    with LLM(tiny_model, threads=1) as llm:
        raw = llm.generate("What does len do?", params).text
        chat = llm.chat([{"role": "user", "content": "What does len do?"}], params).text
    limit = ("--max-tokens", "20", "What does len do?")
    assert generate("--raw", *limit).stdout.removesuffix("\n") == raw.removesuffix("\n")
    assert generate(*limit).stdout.removesuffix("\n") == chat.removesuffix("\n")
    assert raw != chat


def test_drafts_change_no_token(generate: Command) -> None:
    for sampling in ([], ["--temperature", "0.8", "--top-p", "0.95", "--seed", "7"]):
        common = ["--json", "--raw", "--ignore-eos", "--max-tokens", "40", *sampling, "x = 1\nx = 1\nx = 1\n"]
        texts = {generate("--drafts", drafts, *common).json["text"] for drafts in ("0", "1", "4", "auto")}
        assert len(texts) == 1


@pytest.mark.parametrize("arguments", [("-",), ()], ids=["dash", "piped"])
def test_the_prompt_may_come_from_stdin(generate: Command, arguments: tuple[str, ...]) -> None:
    flags = ("--json", "--raw", "--max-tokens", "8")
    given = generate(*flags, "import os\n\nüber = ").json
    assert (
        generate(*flags, *arguments, stdin="import os\n\nüber = \n").json["token_ids"] == given["token_ids"]
    )


def test_stop_strings_may_be_several(generate: Command) -> None:
    text = generate("--json", "--raw", "--ignore-eos", "--max-tokens", "40", "class A:\n").json["text"]
    stops = (text[9:11], text[4:7])
    first = min(text.index(stop) for stop in stops)
    result = generate(
        "--json", "--raw", "--ignore-eos", "--stop", stops[0], "--stop", stops[1], "class A:\n"
    ).json
    assert result["text"] == text[:first]
    assert (result["finish_reason"], result["stop_reason"]) == ("stop", min(stops, key=text.index))


def test_the_reported_seed_repeats_the_text(generate: Command) -> None:
    flags = ("--json", "--raw", "--temperature", "1.2", "--max-tokens", "16", "import ")
    first = generate(*flags).json
    assert generate("--seed", str(first["seed"]), *flags).json["token_ids"] == first["token_ids"]


def test_environment_variables_stand_for_flags(generate: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTP_RT_MAX_TOKENS", "3")
    monkeypatch.setenv("MTP_RT_JSON", "1")
    monkeypatch.setenv("MTP_RT_IGNORE_EOS", "1")
    assert len(generate("--raw", "import ").json["token_ids"]) == 3
    assert len(generate("--raw", "--max-tokens", "5", "import ").json["token_ids"]) == 5


def test_compare_shows_both_speeds_and_that_the_text_is_equal(generate: Command) -> None:
    flags = ("--compare", "--raw", "--ignore-eos", "--max-tokens", "24", "--drafts", "3", "x = 1\nx = 1\n")
    done = generate(*flags)
    assert done.status == 0
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"\d\.\d\d tokens per step, .*x plain decoding \(.* against .* tokens/s\), text identical: yes", last
    )
    result = generate("--json", *flags).json
    assert result.keys() >= KEYS | {"plain", "speedup", "equal"}
    assert result["equal"] is True
    assert result["plain"]["token_ids"] == result["token_ids"]


def test_colours_show_which_tokens_came_together(generate: Command) -> None:
    """Oracle: without its colour codes the text is that of a run without colours."""
    flags = ("--raw", "--ignore-eos", "--max-tokens", "40", "--drafts", "3", "x = 1\nx = 1\nx = 1\n")
    plain = generate("--no-color", *flags).stdout
    painted = generate("--color", *flags).stdout
    assert generate(*flags).stdout == plain  # not a terminal
    assert COLOURS[0] in painted
    assert re.sub(r"\x1b\[\d+m", "", painted) == plain
    assert "\x1b" not in generate("--color", "--drafts", "0", *flags[:4], flags[-1]).stdout


def test_nothing_but_the_text_goes_to_a_pipe(generate: Command) -> None:
    done = generate("--raw", "--max-tokens", "4", "import ")
    assert done.status == 0
    assert done.stderr == ""
