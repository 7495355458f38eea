"""q4 matrices around 0: what ONNX Runtime multiplies without a correction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_models import Runner

from mtp_rt.errors import ArgumentError
from mtp_rt.export.check import check_files
from mtp_rt.export.exporter import export_model
from mtp_rt.export.requantize import is_symmetric
from mtp_rt.model_dir import read_model_dir
from reference import Reference

Models = Callable[..., Path]
Export = Callable[[Path], Path]


def test_symmetric_matrices_need_no_correction(tmp_path: Path, variant: Models, exported: Export) -> None:
    """Their graphs have no sums of blocks; the error against the reference is that of 8-bit inputs alone."""
    source = variant("q4_head")
    assert check_files(exported(source))["verify.onnx"].operators["ReduceSum"] > 0
    target = tmp_path / "symmetric"
    export_model(source, target, onnx=True, symmetric=True)
    facts, model = check_files(target), read_model_dir(target)
    for name in (name for name, kind in model.kinds.items() if kind == "q4"):
        assert is_symmetric(model, name) and not is_symmetric(read_model_dir(source), name)
    tokens = [5, 17, 3, 99, 31]
    exact, rounded = (Reference(target, simulate=simulate).run(tokens).logits for simulate in (False, True))
    allowed = float((rounded - exact).square().mean().sqrt())
    for file in ("verify.onnx", "verify.single.onnx"):
        assert "ReduceSum" not in facts[file].operators
        got = Runner(target / file).chain([tokens], [0])["logits"][0]
        assert np.sqrt(np.mean((got - exact.numpy()) ** 2)) < 3 * allowed
    export_model(target, tmp_path / "again", onnx=True, symmetric=True)
    again, before = (
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (tmp_path / "again", target)
    )
    assert again == before  # what is symmetric stays as it is


def test_symmetric_without_a_q4_matrix_is_refused(tmp_path: Path, variant: Models) -> None:
    with pytest.raises(ArgumentError, match="no matrix would be q4"):
        export_model(variant("f32"), tmp_path / "out", onnx=True, symmetric=True)
    assert list(tmp_path.iterdir()) == []
