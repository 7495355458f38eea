"""docs/benchmarks.md is what the committed results give."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture
def report(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("report")


def test_the_page_shows_the_committed_results(report: ModuleType) -> None:
    """Oracle: the page made anew from benchmarks/results."""
    assert report.PAGE.read_text(encoding="utf-8") == report.page(report.newest())


def test_every_result_names_its_origin(report: ModuleType) -> None:
    """Oracle: what CONTRIBUTING.md demands of a figure; local changes to the product have no commit."""
    for entry in report.newest():
        assert entry["command"]
        assert entry["cpu"]
        assert entry["date"]
        assert "local changes" not in entry["commit"]
