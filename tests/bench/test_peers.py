"""Comparing with peers: names, ratios by hand, and the process around a scripted adapter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtp_rt.bench.peers import compare, process
from mtp_rt.bench.peers.protocol import Run, Setup, Work
from mtp_rt.errors import ArgumentError, EngineError

ECHO = """
import sys, time
sys.path.insert(0, sys.argv.pop(1))
import scripted
from mtp_rt.bench import peers
from mtp_rt.bench.peers import worker
peers.ADAPTERS["scripted"] = "scripted"
sys.modules["mtp_rt.bench.peers.scripted"] = scripted
sys.exit(worker.main())
"""
SCRIPTED = """
from mtp_rt.bench.peers.protocol import Run
def version(): return "1.2"
def load(setup):
    print("a library that writes to stdout")
    if setup.path == "broken": raise OSError("no such weights")
    return System(), {"threads": setup.threads}
class System:
    def run(self, prompt, max_tokens):
        if prompt == [0]: raise ValueError("token 0 is not for me")
        return Run([prompt[-1]] * (max_tokens - (prompt == [9])), 0.5, 2.0, max_tokens - 1)
"""


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    """Let `process` start a worker that knows one more adapter."""
    (tmp_path / "scripted.py").write_text(SCRIPTED, encoding="utf-8")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is printed is buffered, as for most users
    monkeypatch.setattr(process, "WORKER", [sys.executable, "-c", ECHO, str(tmp_path)])
    yield Setup("scripted", "model", threads=2, context=64)


def test_a_process_answers_until_it_is_closed(scripted: Setup) -> None:
    with process.Process("the peer", scripted) as peer:
        assert (peer.ready.version, peer.ready.settings) == ("1.2", {"threads": 2})
        for token in (7, 8):
            run = peer.run(Work([1, token], 3))
            assert (run.tokens, run.prefill_seconds, run.decode_seconds, run.steps) == (
                [token] * 3,
                0.5,
                2.0,
                2,
            )
            assert run.peak_bytes > 1_000_000


def test_what_goes_wrong_in_a_process_is_told(scripted: Setup) -> None:
    broken = Setup("scripted", "broken", threads=1, context=64)
    with pytest.raises(EngineError, match=r"the peer.*no such weights"):
        process.Process("the peer", broken)
    with (
        process.Process("the peer", scripted) as peer,
        pytest.raises(EngineError, match="token 0 is not for me"),
    ):
        peer.run(Work([0], 3))
    with (
        process.Process("the peer", scripted) as peer,
        pytest.raises(EngineError, match="2 tokens instead of 3"),
    ):
        peer.run(Work([9], 3))


@pytest.mark.parametrize("name", ["abacus", "openvino-genai", "mtp-rt", ""])
def test_names_that_cannot_be_compared_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=r"supported: llama\.cpp, llama\.cpp-lookup, onnxruntime-genai"):
        compare.Settings((name,) if name else (), threads=1, max_tokens=8, repeat=1)


def measured(*seconds: float) -> compare.Measured:
    """Return rounds of one prompt with these decoding times."""
    return compare.Measured(
        rounds=[[Run([1, 2, 3, 4, 5], 0.1, time, 4, 100)] for time in seconds],
        prefills=[Run([1], 0.01 * time, 0.0, 0, 200) for time in seconds],
    )


def test_ratios_are_medians_over_rounds() -> None:
    """Oracle: by hand. The peer takes 2, 4 and 3 times as long; all are slower in the second round."""
    ours, peer = measured(1.0, 10.0, 1.0), measured(2.0, 40.0, 3.0)
    result = compare.ratios({compare.PLAIN: ours, compare.MTP: measured(0.5, 5.0, 0.5), "peer": peer}, "peer")
    assert result["ratio_plain"] == 3.0
    assert result["ratio_plain_range"] == [2.0, 4.0]
    assert result["ratio_mtp"] == 6.0
    assert result["ratio_prefill"] == 3.0
    assert result["same_tokens"] == 1.0
    assert ours.tokens_per_second == 4.0
    assert ours.tokens_per_step == 1.0
    assert ours.prefill_tokens_per_second == pytest.approx(512 / 0.01)
    assert ours.peak_bytes == 200


def test_same_tokens_stops_at_the_first_difference() -> None:
    """Oracle: three of five tokens before the texts part; that they meet again does not count."""
    ours = [Run([1, 2, 3, 4, 5], 0.0, 0.0, 4)]
    theirs = [Run([1, 2, 3, 9, 5], 0.0, 0.0, 4)]
    assert compare.same_tokens(ours, theirs) == pytest.approx(0.6)


def test_a_long_prompt_is_made_of_the_given_ones() -> None:
    assert compare.stretched([[1, 2], [3]], 7) == [1, 2, 3, 1, 2, 3, 1]
