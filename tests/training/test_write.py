"""The write stage on the tiny model: what it keeps, what it drops, and going on after a kill."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mtp_rt import _core
from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.tokenizer import Tokenizer
from mtp_rt.training.distill import write
from mtp_rt.training.distill.line_file import read_lines
from mtp_rt.training.distill.prompts import prompt_hash, split_of
from mtp_rt.training.distill.run_folder import ModelIdentity, RunFolder
from mtp_rt.training.distill.text_quality import loop_cut
from mtp_rt.training.distill.write import WriteSettings, write_text

SETTINGS = WriteSettings(seed=7, max_user_tokens=64, max_answer_tokens=48)
TOKENS = 1500


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run", ModelIdentity.of(tiny_model))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with text, to be copied."""
    model = Path(__file__).parents[1] / "data" / "model_dirs" / "tiny"
    run = RunFolder(tmp_path_factory.mktemp("written") / "run", ModelIdentity.of(model))
    write_text(run, model, SETTINGS, tokens=TOKENS, slots=8, threads=1)
    return run


def test_dialogues_hold_what_the_format_says(written: RunFolder, tiny_model: Path) -> None:
    """Oracles: the chat template, plain decoding of one answer at a time, the report's sums."""
    tokenizer = Tokenizer.load(tiny_model)
    lines = list(read_lines(written.text_file))
    assert TOKENS <= sum(len(line["answer_ids"]) for line in lines) < TOKENS + SETTINGS.max_answer_tokens
    indices = [line["index"] for line in lines]
    dropped = [line["index"] for line in read_lines(written.dropped_file)]
    assert sorted(indices + dropped) == list(range(max(indices + dropped) + 1))
    assert len({line["prompt_hash"] for line in lines}) == len(lines)
    for line in lines:
        text = (
            tokenizer.decode(line["prompt_ids"]).split("user\n", 1)[1].removesuffix("\nassistant\n").rstrip()
        )
        assert line["prompt_ids"] == tokenizer.encode_chat([{"role": "user", "content": text}])
        assert line["split"] == split_of(text)
        assert line["prompt_hash"] == prompt_hash(text)
        assert line["temperature"] == SETTINGS.answer_temperatures[line["index"] % 4]
        assert loop_cut(line["answer_ids"]) is None
        assert (line["finish"] == "stop") == (line["answer_ids"][-1] in (0, 2))


def test_greedy_answers_are_those_of_plain_decoding(written: RunFolder, tiny_model: Path) -> None:
    greedy = [line for line in read_lines(written.text_file) if line["temperature"] == 0][:4]
    scheduler = _core.Scheduler(_core.Engine(str(tiny_model), threads=1))
    for line in greedy:
        request = _core.Request(
            line["prompt_ids"],
            _core.SamplingParams(),
            max_tokens=len(line["answer_ids"]),
            drafts=_core.DraftOptions(source="none", max_drafts=0),
        )
        scheduler.submit(request)
        tokens: list[int] = []
        while scheduler.running or scheduler.waiting:
            tokens += [token for event in scheduler.run_once() for token in event.tokens]
        assert tokens == line["answer_ids"]


@pytest.mark.parametrize(("slots", "threads"), [(1, 1), (3, 2), (32, 1)])
def test_text_does_not_depend_on_slots_and_threads(
    run: RunFolder, written: RunFolder, tiny_model: Path, slots: int, threads: int
) -> None:
    write_text(run, tiny_model, SETTINGS, tokens=TOKENS // 3, slots=slots, threads=threads)
    text = run.text_file.read_bytes()
    assert written.text_file.read_bytes().startswith(text)
    assert text.count(b"\n") > 3


@pytest.mark.parametrize("share", [0.0, 0.13, 0.5, 0.77, 0.999])
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    written: RunFolder, tiny_model: Path, tmp_path: Path, share: float
) -> None:
    """Both files cut at some byte, as a kill leaves them."""
    folder = tmp_path / "run"
    shutil.copytree(written.path, folder)
    text = (folder / "text" / "dialogues.jsonl").read_bytes()
    (folder / "text" / "dialogues.jsonl").write_bytes(text[: int(share * len(text))])
    lines = list(read_lines(folder / "text" / "dialogues.jsonl"))
    last = lines[-1]["index"] if lines else -1
    drops = [line for line in read_lines(folder / "dropped.jsonl") if line["index"] <= last]
    (folder / "dropped.jsonl").write_text("".join(json.dumps(line) + "\n" for line in drops) + '{"ind')
    run = RunFolder(folder, ModelIdentity.of(tiny_model))
    write_text(run, tiny_model, SETTINGS, tokens=TOKENS, slots=8, threads=1)
    assert run.text_file.read_bytes() == written.text_file.read_bytes()
    assert list(read_lines(run.dropped_file)) == list(read_lines(written.dropped_file))


def test_dialogues_dropped_behind_the_last_line_are_not_written_again(
    written: RunFolder, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(written.path, folder)
    drops = [line["index"] for line in read_lines(folder / "dropped.jsonl")]
    last = max(index for index in drops if index < drops[-1] - 1)
    text = [json.dumps(line) + "\n" for line in read_lines(written.text_file) if line["index"] < last]
    (folder / "text" / "dialogues.jsonl").write_text("".join(text))
    kept = [json.dumps(line) + "\n" for line in read_lines(written.dropped_file) if line["index"] <= last]
    (folder / "dropped.jsonl").write_text("".join(kept))
    run = RunFolder(folder, ModelIdentity.of(tiny_model))
    write_text(run, tiny_model, SETTINGS, tokens=TOKENS, slots=8, threads=1)
    assert list(read_lines(run.text_file)) == list(read_lines(written.text_file))
    assert list(read_lines(run.dropped_file)) == list(read_lines(written.dropped_file))


def test_enough_text_is_left_as_it_is(written: RunFolder, tiny_model: Path) -> None:
    before = written.text_file.read_bytes()
    report = write_text(written, tiny_model, SETTINGS, tokens=10)
    assert written.text_file.read_bytes() == before
    assert report.answer_tokens >= TOKENS
    assert report.dialogues == before.count(b"\n")
    assert (
        sum(report.tokens_by_split.values()) == sum(report.tokens_by_source.values()) == report.answer_tokens
    )
    assert sum(report.scripts.values()) == sum(report.finishes.values()) == report.dialogues
    assert report.scripts["latin"] > report.dialogues // 2
    assert 0 < report.mean_answer_tokens <= SETTINGS.max_answer_tokens


def test_an_interrupted_run_goes_on(run: RunFolder, written: RunFolder, tiny_model: Path) -> None:
    """Ctrl-C while it writes, in the thread that waits for the others."""

    def interrupt(what: str, done: int, total: int) -> None:
        if done > TOKENS // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_text(run, tiny_model, SETTINGS, tokens=TOKENS, slots=8, threads=2, progress=interrupt)
    assert 0 < len(run.text_file.read_bytes()) < len(written.text_file.read_bytes())
    write_text(run, tiny_model, SETTINGS, tokens=TOKENS, slots=8, threads=2)
    assert run.text_file.read_bytes() == written.text_file.read_bytes()


def test_progress_counts_answer_tokens(run: RunFolder, tiny_model: Path) -> None:
    told: list[tuple[str, int, int]] = []
    write_text(
        run, tiny_model, SETTINGS, tokens=200, slots=8, threads=1, progress=lambda *event: told.append(event)
    )
    assert [what for what, _, _ in told] == ["write"] * len(told)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1:] == (200, 200)


def test_a_model_that_writes_no_usable_prompt_is_given_up(
    run: RunFolder, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User turns of one token at most: none comes to its end."""
    monkeypatch.setattr(write, "GIVE_UP", 20)
    with pytest.raises(
        UnsupportedError, match=r"of 20 prompts .* none gave a dialogue \(\{'overlong': 20\}\)"
    ):
        write_text(run, tiny_model, replace(SETTINGS, max_user_tokens=1), tokens=10, threads=1)


@pytest.mark.parametrize("wrong", [{"max_user_tokens": 1024}, {"max_answer_tokens": 1024}])
def test_settings_must_fit_the_context(run: RunFolder, tiny_model: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ArgumentError, match=r"must leave room for a prompt in the context of 1024 tokens"):
        write_text(run, tiny_model, replace(SETTINGS, **wrong), tokens=10)


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"slots": 0}, {"threads": -1}])
def test_arguments_out_of_range_are_named(run: RunFolder, tiny_model: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        write_text(run, tiny_model, SETTINGS, **({"tokens": 10} | wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"opening_share": 1.5},
        {"answer_temperatures": ()},
        {"max_user_tokens": 0},
        {"max_answer_tokens": 0},
    ],
)
def test_settings_out_of_range_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        replace(SETTINGS, **wrong)
