"""Bad input gets one clear message on stderr and exit status 1 or 2: never a traceback, a crash or a hang."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from running import Command, Done


def refused(done: Done, status: int, says: str) -> None:
    assert done.status == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


USAGE = [
    (["generate", "--no-such-flag", "hello"], "--no-such-flag"),
    (["no-such-command"], "no-such-command"),
    (["generate", "--max-tokens", "-3", "hello"], "max_tokens"),
    (["generate", "--max-tokens", "0", "hello"], "max_tokens"),
    (["generate", "--max-tokens", "many", "hello"], "--max-tokens"),
    (["generate", "--temperature", "nan", "hello"], "temperature"),
    (["generate", "--temperature", "-0.5", "hello"], "temperature"),
    (["generate", "--temperature", "inf", "hello"], "temperature"),
    (["generate", "--top-p", "0", "hello"], "top_p"),
    (["generate", "--top-p", "nan", "hello"], "top_p"),
    (["generate", "--top-k", "-1", "hello"], "top_k"),
    (["generate", "--min-p", "1.5", "hello"], "min_p"),
    (["generate", "--seed", "-1", "hello"], "seed"),
    (["generate", "--stop", "", "hello"], "stop"),
    (["generate", "--threads", "0", "hello"], "--threads"),
    (["generate", "--threads", "-2", "hello"], "--threads"),
    (["generate", "--threads", "1000000", "hello"], "--threads"),
    (["generate", "--context", "0", "hello"], "--context"),
    (["generate", "--drafts", "16", "hello"], "--drafts"),
    (["generate", "--drafts", "some", "hello"], "--drafts"),
    (["generate", "--draft-source", "stars", "hello"], "stars"),
    (["generate", ""], "prompt is empty"),
    (["generate"], "prompt is empty"),
    (["chat", "--temperature", "nan"], "temperature"),
    (["import", "only-one"], "OUT"),
    (["import", "--quantize", "q3", "a", "b"], "q3"),
]


@pytest.mark.parametrize(("arguments", "says"), USAGE, ids=[" ".join(arguments) for arguments, _ in USAGE])
def test_wrong_usage(command: Command, arguments: list[str], says: str) -> None:
    refused(command(*arguments), 2, says)


def test_input_that_is_not_utf8(command: Command) -> None:
    refused(command("generate", "-", stdin=b"caf\xe9"), 2, "not UTF-8")


ERRORS = [
    (["generate", "--model", "no-such-model-here", "hello"], "known models: smollm2"),
    (["generate", "--model", "./no/such/dir", "hello"], "no such directory"),
    (["inspect", "--model", "no-such-model-here"], "known models"),
    (["pull", "no-such-model-here"], "known models"),
    (["import", "no-such-file.gguf", "out"], "no-such-file.gguf"),
]


@pytest.mark.parametrize(("arguments", "says"), ERRORS, ids=[" ".join(arguments) for arguments, _ in ERRORS])
def test_unknown_models_and_files(command: Command, arguments: list[str], says: str) -> None:
    refused(command(*arguments), 1, says)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--engine", "abacus"), ("--provider", "fpga"), ("--isa", "sse1"), ("--isa", "avx512_vnni\n")],
    ids=ascii,
)
def test_unknown_engine_provider_and_isa(command: Command, tiny_model: Path, flag: str, value: str) -> None:
    refused(command("generate", "--model", str(tiny_model), flag, value, "hello"), 1, value.strip())


def test_a_prompt_longer_than_the_context_names_both_numbers(command: Command, tiny_model: Path) -> None:
    done = command("generate", "--model", str(tiny_model), "--max-tokens", "4", "word " * 2000)
    refused(done, 1, "context of 1024")
    assert int(done.stderr.split("the prompt has ")[1].split()[0]) > 1024


@pytest.mark.parametrize(
    "file", ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"]
)
@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_damaged_model_files_are_named(
    command: Command, tiny_model: Path, tmp_path: Path, file: str, damage: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    whole = (model / file).read_bytes()
    (model / file).write_bytes(
        whole[: len(whole) // 2] if damage == "truncated" else b"\x7fELF{% if" + bytes(99)
    )
    refused(command("generate", "--model", str(model), "--max-tokens", "2", "hello"), 1, file)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_missing_model_files_are_named(command: Command, tiny_model: Path, tmp_path: Path, file: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / file).unlink()
    refused(command("generate", "--model", str(model), "hello"), 1, file)


def test_a_context_beyond_the_model(command: Command, tiny_model: Path) -> None:
    refused(command("generate", "--model", str(tiny_model), "--context", "99999", "hello"), 1, "99999")


def test_a_file_is_no_model_directory(command: Command, tiny_model: Path) -> None:
    done = command("generate", "--model", str(tiny_model / "model.safetensors"), "hello")
    refused(done, 1, "mtp-rt import")


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF\3\0\0\0" + b"\xff" * 64, b"PK\3\4" + bytes(64)], ids=ascii
)
def test_foreign_files_cannot_be_imported(command: Command, tmp_path: Path, content: bytes) -> None:
    source, target = tmp_path / "model.gguf", tmp_path / "out"
    source.write_bytes(content)
    refused(command("import", str(source), str(target)), 1, "model.gguf")
    assert not target.exists()


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (
            OSError(28, "No space left on device", "out/model.safetensors"),
            "error: out/model.safetensors: No space",
        ),
        (OSError("odd"), "error: odd"),
        (MemoryError(), "error: out of memory"),
    ],
    ids=str,
)
def test_what_the_machine_lacks_is_an_error(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, says: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise failure

    monkeypatch.setattr("mtp_rt.convert.gguf_import.import_gguf", fail)
    (tmp_path / "model.gguf").touch()
    refused(command("import", str(tmp_path / "model.gguf"), str(tmp_path / "out")), 1, says)


def test_a_folder_without_a_model_cannot_be_imported(command: Command, tmp_path: Path) -> None:
    refused(command("import", str(tmp_path), str(tmp_path / "out")), 1, "config.json")


def test_the_first_use_without_a_network(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = command("generate", "hello")
    assert done.status == 1
    assert "could not be fetched" in done.stderr
    assert "mtp-rt import" in done.stderr
    assert "--model code-bytes" in done.stderr
    assert "Traceback" not in done.stderr
