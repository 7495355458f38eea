"""Models that tests of every room share."""

from __future__ import annotations

import importlib
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY_MODEL = Path(__file__).parent / "data" / "model_dirs" / "tiny"


def pytest_configure() -> None:
    """Let Ctrl-C interrupt, which a shell switches off for what it starts in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
def tiny_with_heads(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function: preset of tiny_model.heads -> the tiny model with such heads, written once.

    Keywords replace fields of the preset (`count=2`); `kind` and `unembed` are those of write_with_heads.
    """
    from tiny_model.heads import PRESETS, write_with_heads

    written: dict[str, Path] = {}

    def get(preset: str, *, kind: str = "q4", unembed: Any = "q8", **changes: Any) -> Path:
        heads = {"preset": preset, **PRESETS[preset], **changes}
        key = repr((heads, kind, unembed))
        if key not in written:
            written[key] = tmp_path_factory.mktemp("heads") / preset
            write_with_heads(heads, TINY_MODEL, written[key], kind=kind, unembed=unembed)
        return written[key]

    return get


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function: model directory, opset = 24 -> the same with ONNX graphs, written once.

    Skips without onnx.
    """
    pytest.importorskip("onnx")
    from mtp_rt.export.exporter import export_model

    written: dict[tuple[Path, int], Path] = {}

    def get(source: Path, opset: int = 24) -> Path:
        key = (source, opset)
        if key not in written:
            written[key] = tmp_path_factory.mktemp("exported") / source.name
            export_model(source, written[key], onnx=True, opset=opset)
        return written[key]

    return get


@pytest.fixture(scope="session")
def exported_f32_heads(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Path,
    exported: Callable[..., Path],
) -> Callable[..., Path]:
    """Return a function: preset of tiny_model.heads -> the tiny model in f32 with such heads, exported.

    Keywords replace fields of the preset; `opset` is that of the graphs.
    """
    from mtp_rt.export.exporter import export_model
    from tiny_model.heads import PRESETS, write_with_heads

    base = tmp_path_factory.mktemp("base") / "f32"
    export_model(tiny_model, base, quantize="f32", lm_head="f32")
    written: dict[str, Path] = {}

    def get(preset: str, opset: int = 24, **changes: Any) -> Path:
        heads: Mapping[str, Any] = {"preset": preset, **PRESETS[preset], **changes}
        key = repr(heads)
        if key not in written:
            written[key] = tmp_path_factory.mktemp("f32_heads") / preset
            write_with_heads(heads, base, written[key], kind="f32", unembed="f32")
        return exported(written[key], opset)

    return get


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The default model, pulled on first use. Tests that ask for it carry the marker `model`."""
    from mtp_rt import hub

    return hub.resolve_model(hub.DEFAULT_MODEL)


@pytest.fixture
def benchmark_script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function: name of a script in benchmarks/ -> that script as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module
