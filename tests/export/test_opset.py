"""Graphs of opset 21: operators and file format of that time, the same weights, the same engine.

What they compute is compared with the reference beside the graphs of opset 24.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from mtp_rt import LLM, SamplingParams
from mtp_rt.errors import ArgumentError
from mtp_rt.export.check import check_files
from mtp_rt.export.exporter import export_model
from tiny_model.heads import PRESETS
from tiny_model.variants import VARIANTS

Models = Callable[..., Path]


@pytest.mark.parametrize("name", VARIANTS)
def test_onnx_itself_accepts_the_graph_of_the_trunk(name: str, variant: Models, exported: Models) -> None:
    onnx.checker.check_model(exported(variant(name), 21) / "verify.onnx", full_check=True)


@pytest.mark.parametrize("preset", PRESETS)
def test_operators_and_format_are_those_of_the_opset(
    preset: str, tiny_with_heads: Models, exported: Models
) -> None:
    folder, newer = exported(tiny_with_heads(preset), 21), check_files(exported(tiny_with_heads(preset)))
    facts = check_files(folder)
    assert set(facts) == {name for name in newer if not name.endswith(".single.onnx")}
    for file, fact in facts.items():
        graph = onnx.load(folder / file, load_external_data=False)
        assert {opset.domain: opset.version for opset in graph.opset_import}[""] == 21
        assert graph.ir_version == 10
        for kind in fact.operators:
            if "." not in kind:
                onnx.defs.get_schema(kind, 21)
        assert (fact.inputs, fact.outputs) == (newer[file].inputs, newer[file].outputs)
        assert fact.weights == newer[file].weights


@pytest.mark.parametrize("preset", ["recurrent", "deepseek", "eagle3"])
def test_the_engine_decodes_with_them(preset: str, exported_f32_heads: Models) -> None:
    params = SamplingParams(max_tokens=40, ignore_eos=True)
    want = LLM(str(exported_f32_heads(preset))).generate("def main", params).token_ids
    older = LLM(str(exported_f32_heads(preset, 21)), engine="onnxruntime", drafts=3)
    got = older.generate("def main", params)
    assert got.token_ids == want
    assert got.stats.drafted_by_source["heads"] > 0


def test_other_opsets_are_refused(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(ArgumentError, match="opset: 22 is not 24, or 21"):
        export_model(tiny_model, tmp_path / "out", onnx=True, opset=22)
    assert not (tmp_path / "out").exists()
