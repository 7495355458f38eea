"""Models that tests of every room share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

TINY_MODEL = Path(__file__).parent / "data" / "model_dirs" / "tiny"


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The committed tiny model: q4 layers, q8 two-stage head, tokenizer, chat template."""
    return TINY_MODEL


@pytest.fixture(scope="session")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function: name of tiny_model.variants -> model directory, written once per session."""
    from tiny_model.variants import write_variant

    written: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in written:
            written[name] = tmp_path_factory.mktemp("variants") / name
            write_variant(name, TINY_MODEL, written[name])
        return written[name]

    return get


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The default model, pulled on first use. Tests that ask for it carry the marker `model`."""
    from mtp_rt import hub

    return hub.resolve_model(hub.DEFAULT_MODEL)
