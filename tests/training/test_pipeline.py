"""`mtp-rt distill` from nothing to a model directory with heads, on the tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mtp_rt.cli.main import app
from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.model_dir import read_model_dir
from mtp_rt.training.distill.fit_config import FitConfig
from mtp_rt.training.distill.pipeline import Listener, Wishes, distill, open_run
from mtp_rt.training.distill.write import WriteSettings

FIT = FitConfig(
    heads=2, intermediate_size=32, draft_vocab=128, steps=4, batch=32, warm_up=1, dev_slots=64, threads=1
)
WISHES = Wishes(FIT, WriteSettings(seed=3), tokens=1500, slots=8, threads=1, ship_vocab=96)


def listener(stages: list[str], notes: list[str]) -> Listener:
    def progress(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if not stages or stages[-1] != stage:
            stages.append(stage)

    return Listener(progress, lambda _: None, lambda _: None, lambda _: None, notes.append)


def test_all_stages_make_a_model_and_go_on_where_they_stand(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    stages: list[str] = []
    first = distill(open_run(out, tiny_model, resume=False), tiny_model, WISHES, listener(stages, []))
    assert stages == ["write", "record", "fit"]
    model = read_model_dir(out / "model")
    heads = model.config.extra_heads
    assert heads is not None
    assert (heads.count, heads.draft_vocab_size) == (2, 96)
    assert list(heads.acceptance or ()) == [round(chance, 4) for chance in first["acceptance"]]
    card = (out / "package" / "README.md").read_text()
    assert "Tokens per step" in card
    assert "| self:" in card
    for name in ("checkpoint.pt", "best.pt", "log.csv"):
        assert (out / "heads" / name).is_file()

    with pytest.raises(ArgumentError, match="holds a run; go on with it by --resume"):
        open_run(out, tiny_model, resume=False)
    text = (out / "text" / "dialogues.jsonl").read_bytes()
    stages.clear()
    second = distill(open_run(out, tiny_model, resume=True), tiny_model, WISHES, listener(stages, []))
    assert "write" not in stages and "record" not in stages
    assert (out / "text" / "dialogues.jsonl").read_bytes() == text
    assert second["acceptance"] == first["acceptance"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--preset", "nonsense"], "preset: 'nonsense' is not one of recurrent"),
        (["--draft-vocab", "33"], "draft_vocab: 33 is not a multiple of 32"),
        (["--draft-vocab", "3200000"], "draft_vocab: 3200000 is not"),
        (["--hours", "0"], "hours: 0.0 is not above 0"),
        (["--hours", "nan"], "hours: nan is not above 0"),
        (["--prompts", "{dir}/bad.jsonl"], "bad.jsonl, line 2: must be a JSON object"),
        (["--prompts", "{dir}/empty.jsonl"], "holds no prompt"),
        (["--prompts", "{dir}/absent.jsonl"], "cannot read the prompt file"),
    ],
)
def test_bad_wishes_are_refused_before_anything_is_written(
    arguments: list[str], problem: str, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"prompt": "hello"}\n[1]\n')
    (tmp_path / "empty.jsonl").write_text("\n")
    given = [argument.replace("{dir}", str(tmp_path)) for argument in arguments]
    result = CliRunner().invoke(app, ["distill", str(tmp_path / "run"), "--model", str(tiny_model), *given])
    assert result.exit_code != 0
    assert problem in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_without_torch_the_command_says_what_to_install(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["distill", str(tmp_path / "run"), "--model", str(tiny_model)])
    assert isinstance(result.exception, UnsupportedError)
    assert "pip install 'mtp-rt[train]'" in str(result.exception)


def test_prompts_become_conversations(tmp_path: Path) -> None:
    from mtp_rt.cli.distill import _supplied

    path = tmp_path / "prompts.jsonl"
    lines = [
        {"prompt": "hi\u2028there", "source": "mine"},  # a line's end to str.splitlines, none in JSON
        {"messages": [{"role": "system", "content": "s"}]},
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    first, second = _supplied(path) or ()
    assert (first.source, first.messages) == ("mine", ({"role": "user", "content": "hi\u2028there"},))
    assert second.messages == ({"role": "system", "content": "s"},)
