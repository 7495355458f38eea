"""Exported models. Without onnx and onnxruntime (the extra `export`) these tests are not collected."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tiny_model.heads import PRESETS, write_with_heads

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
collect_ignore_glob = [] if HAS_ONNX else ["test_*.py"]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function: model directory -> the same with ONNX graphs, written once."""
    from mtp_rt.export.exporter import export_model

    written: dict[Path, Path] = {}

    def get(source: Path) -> Path:
        if source not in written:
            written[source] = tmp_path_factory.mktemp("exported") / source.name
            export_model(source, written[source], onnx=True)
        return written[source]

    return get


@pytest.fixture(scope="session")
def exported_f32_heads(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Path,
    exported: Callable[[Path], Path],
) -> Callable[..., Path]:
    """Return a function: preset of tiny_model.heads -> the tiny model in f32 with such heads, exported.

    Keywords replace fields of the preset.
    """
    from mtp_rt.export.exporter import export_model

    base = tmp_path_factory.mktemp("base") / "f32"
    export_model(tiny_model, base, quantize="f32", lm_head="f32")
    written: dict[str, Path] = {}

    def get(preset: str, **changes: Any) -> Path:
        heads: Mapping[str, Any] = {"preset": preset, **PRESETS[preset], **changes}
        key = repr(heads)
        if key not in written:
            written[key] = tmp_path_factory.mktemp("f32_heads") / preset
            write_with_heads(heads, base, written[key], kind="f32", unembed="f32")
        return exported(written[key])

    return get
