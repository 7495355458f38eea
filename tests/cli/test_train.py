"""`mtp-rt train` from a config to a model that generates; bad configs get one message."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from running import Command

CONFIG = """
[data]
train = ["{texts}"]
validation_share = 0.3
[model]
hidden_size = 32
layers = 2
heads = 1
[heads]
n = 2
[training]
sequence = 32
batch = 4
steps = 4
evaluate_every = 3
threads = 1
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(12):
        (texts / f"{number}.txt").write_text(f"text {number}: " + "a b c d e f g " * 20)
    (tmp_path / "letters.toml").write_text(CONFIG.format(texts=texts))
    monkeypatch.chdir(tmp_path)
    return "letters.toml"


def test_from_a_config_to_text(command: Command, config: str) -> None:
    done = command("train", config, "--set", "training.learning_rate=0.01", "--json")
    result = done.json
    assert result["finished"] and result["step"] == 4 and result["resume"] is None
    assert result["tokens"] == 4 * 4 * 32
    assert len(result["losses"]) == len(result["accuracy"]) == len(result["bits_per_byte"]) == 2
    assert 1 <= result["tokens_per_step"] <= 2
    assert "held-out losses by tokens ahead" in done.stderr
    model = Path(result["model"])
    assert model == Path("runs/letters/model")
    heads = json.loads((model / "config.json").read_text())["mtp_rt"]["heads"]
    assert heads["preset"] == "gloeckle" and len(heads["acceptance"]) == 1
    text = command("generate", "--model", str(model), "--max-tokens", "8", "--json", "a b c").json
    plain = command("generate", "--model", str(model), "-n", "8", "--drafts", "0", "--json", "a b c").json
    assert text["token_ids"] == plain["token_ids"]
    again = command("train", config, "--set", "training.learning_rate=0.01", "--resume")
    assert again.status == 0 and again.stdout.startswith("runs/letters/model  ")


def test_a_stopped_run_says_how_to_go_on(
    command: Command, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes while the second step is under way."""
    from mtp_rt.training.pretrain.trainer import Trainer

    step = Trainer.train_step

    def signalled(self: Trainer) -> None:
        step(self)
        if self.place.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "train_step", signalled)
    before = signal.getsignal(signal.SIGTERM)
    try:
        result = command("train", config, "--set", "training.learning_rate=0.01", "--json").json
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not result["finished"] and result["step"] == 2
    assert result["resume"].split()[:3] == ["mtp-rt", "train", config]
    done = command(*result["resume"].split()[1:], "--json").json
    assert done["finished"] and done["step"] == 4


REFUSED = [
    (["none.toml"], "none.toml: cannot be read"),
    (
        ["letters.toml", "--set", "heads.presets=x"],
        "letters.toml: heads.presets: no such field; did you mean preset?",
    ),
    (["letters.toml", "--set", "training.sequence=2"], "heads.n: 2 tokens ahead do not fit"),
    (["letters.toml", "--set", "data.train=nothing.txt"], "nothing.txt: no such file or folder"),
    (["letters.toml", "--set", "training.sequence=100000"], "training.sequence: 100000 tokens are more than"),
    (["letters.toml", "--set", "data.tokenizer=letters.toml"], "is not a tokenizers file"),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED)
def test_bad_input_gets_one_message(command: Command, config: str, arguments: list[str], says: str) -> None:
    done = command("train", *arguments)
    assert done.status == 1 and done.stdout == ""
    assert says in done.stderr and "Traceback" not in done.stderr


def test_a_corrected_config_begins_where_a_bad_one_failed(command: Command, config: str) -> None:
    assert command("train", config, "--set", "data.train=nothing.txt").status == 1
    assert command("train", config, "--set", "training.sequence=100000").status == 1
    assert command("train", config).status == 0
    assert "holds a run; add --resume" in command("train", config).stderr
