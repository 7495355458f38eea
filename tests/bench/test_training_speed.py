"""benchmarks/training_speed.py on a model of a second: what it measures, what the page says of it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture
def speed(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("training_speed")


def test_it_measures_speed_and_memory(
    speed: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: one graph keeps the logits of every head, 2 x 16 x 8,192 floats of each at least."""
    monkeypatch.setattr(speed, "MEMORY_N", (2,))
    sizes = ["--hidden", "32", "--layers", "4", "--sequence", "16", "--batch", "2"]
    monkeypatch.setattr(sys, "argv", ["training_speed.py", *sizes, "--repeat", "2", "--steps", "1"])
    assert speed.main() == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["systems"]) == {*speed.OURS, speed.PLAIN}
    for system in result["systems"].values():
        assert system["tokens_per_second"] > 0
        assert system["ratio_n1"]["low"] <= system["ratio_n1"]["median"] <= system["ratio_n1"]["high"]
    assert result["systems"][speed.PLAIN]["ratio_plain"]["median"] == 1.0
    peak = result["memory"]["2"]
    assert peak["one_graph_mb"] > 0 and peak["head_by_head_mb"] > 0
    text = importlib.import_module("report_training").training_speed(result)
    assert "| transformers |" in text and f"| 2 | {peak['head_by_head_mb']:.0f} |" in text


def test_one_graph_has_the_same_loss(speed: ModuleType) -> None:
    """Oracle: the sums that the head-by-head walk returns."""
    import torch

    from models.small_models import make_batch, make_model

    model, batch = make_model("gloeckle", 3), make_batch(3)
    weights = [0.5, 0.25, 0.125]
    sums = speed.backward_head_by_head(model, batch, weights)
    expected = (sums * torch.tensor(weights)).sum()
    torch.testing.assert_close(speed.one_graph(model, batch, weights), expected.float())
