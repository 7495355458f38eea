"""Every planted fault still has its place in the sources, and tests to kill it."""

from __future__ import annotations

import runpy

from repository import ROOT


def test_faults_fit_the_sources() -> None:
    """Raises where the text that a fault replaces does not occur exactly once."""
    read_faults = runpy.run_path(str(ROOT / "tests" / "planted_faults" / "run.py"))["read_faults"]
    faults = read_faults([], quick=False)
    assert len(faults) > 100
    tests = {ROOT / test.partition("::")[0] for fault in faults for test in fault.tests}
    assert [test for test in tests if not test.exists()] == []
