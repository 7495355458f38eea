"""The benchmark scripts that compare drafts with plain decoding, on the tiny model and by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def output_of(name: str, *arguments: str, cache: Path) -> Any:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *arguments],
        capture_output=True,
        text=True,
        env={"MTP_RT_CACHE": str(cache), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_equality_over_prompts(tiny_model: Path, tmp_path: Path) -> None:
    """Oracle: plain decoding, one row a call; every kind of drafts is compared with all its texts."""
    arguments = ["--model", str(tiny_model), "--tokens", "20", "--sampled", "2", "--seeds", "2"]
    result = output_of("equality_prompts.py", *arguments, cache=tmp_path)
    assert result["cases"] == 12 + 2 * 2
    assert {"drafts 0", "auto", "tree"} < result["by_kind"].keys()
    assert all(kind["texts"] == result["cases"] for kind in result["by_kind"].values())
    assert result["differing_tokens"] == 0


def test_accuracy_is_that_of_the_trunk(tiny_with_heads: Callable[..., Path], tmp_path: Path) -> None:
    """Oracle: transformers, within the script; a model with heads, as the default one has them."""
    model = tiny_with_heads("recurrent")
    result = output_of("accuracy.py", "--model", str(model), "--tokens", "20", cache=tmp_path)
    assert result["against_transformers_float64"]["f32 weights"]["logit_error_max"] < 1e-3


def test_never_slower(tiny_model: Path, tmp_path: Path) -> None:
    arguments = [
        "--model",
        str(tiny_model),
        "--tokens",
        "6",
        "--each",
        "1",
        "--repeat",
        "1",
        "--threads",
        "1",
    ]
    result = output_of("never_slower.py", *arguments, cache=tmp_path)
    assert {"chat, T 0", "code, T 1", "random tokens, T 1.5", "every source, T 1.5"} < result[
        "by_kind"
    ].keys()
    assert all(kind["differing_tokens"] == 0 for kind in result["by_kind"].values())
    assert result["lowest_ratio"] == min(kind["ratio"] for kind in result["by_kind"].values())
    assert result["machine"]["threads"] == 1


def test_the_ratio_of_never_slower_is_within_rounds(benchmark_script: Callable[[str], ModuleType]) -> None:
    """Oracle: by hand. The machine halves its speed in the second round, for both modes."""
    kind = benchmark_script("never_slower").Kind([[1]], 0.0)
    kind.seconds = {"plain": [1.0, 2.0, 1.1], "auto": [0.8, 1.6, 1.0]}
    kind.texts = {"plain": [list(range(11))], "auto": [[*range(10), 99]]}
    kind.steps = 5
    assert benchmark_script("never_slower").summary(kind) == {
        "prompts": 1,
        "plain_tokens_per_second": 9.1,
        "auto_tokens_per_second": 10.0,
        "ratio": 1.25,
        "ratio_range": [1.1, 1.25],
        "tokens_per_step": 2.0,
        "differing_tokens": 1,
    }


def test_lines_of_a_picture_break_between_words(benchmark_script: Callable[[str], ModuleType]) -> None:
    """Oracle: by hand, a line of six columns."""
    show: ModuleType = benchmark_script("show")
    columns, show.COLUMNS = show.COLUMNS, 6
    try:
        places = show.places("ab cde fghijklm\nn")
    finally:
        show.COLUMNS = columns
    assert places[:6] == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]
    assert places[7:13] == [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]
    assert places[13] == (2, 0)  # a word that no line holds goes on in the next
    assert places[16] == (3, 0)
