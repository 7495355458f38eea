"""The record stage on the tiny model; oracle: the engine, one dialogue at a time, and a float64 softmax."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtp_rt import _core
from mtp_rt.errors import ArgumentError, Error, ModelFormatError
from mtp_rt.training import files
from mtp_rt.training.distill import record
from mtp_rt.training.distill.line_file import read_lines
from mtp_rt.training.distill.record import RecordSettings, plan_recording, record_states
from mtp_rt.training.distill.run_folder import ModelIdentity, RunFolder
from mtp_rt.training.distill.shards import SPLITS, read_shard, shard_paths
from mtp_rt.training.distill.top_candidates import top_candidates
from mtp_rt.training.distill.write import WriteSettings, write_text

SETTINGS = RecordSettings(taps=(0, 1), top_k=4)
TINY = Path(__file__).parents[1] / "data" / "model_dirs" / "tiny"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with text only, to be copied."""
    run = RunFolder(tmp_path_factory.mktemp("text") / "run", ModelIdentity.of(TINY))
    write_text(run, TINY, WriteSettings(seed=1), tokens=2500, slots=16, threads=1)
    return run


@pytest.fixture
def run(written: RunFolder, tmp_path: Path) -> RunFolder:
    return copy_of(written, tmp_path / "run")


@pytest.fixture(scope="module")
def recorded(written: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run recorded into several shards, to be copied."""
    run = copy_of(written, tmp_path_factory.mktemp("recorded") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "SHARD_BYTES", 400_000)
        record_states(run, TINY, SETTINGS, threads=1)
    assert len(shard_paths(run.states_dir)) >= 3
    return run


def copy_of(run: RunFolder, folder: Path) -> RunFolder:
    shutil.copytree(run.path, folder)
    return RunFolder(folder, run.model)


def contents(run: RunFolder) -> dict[str, np.ndarray]:
    shards = [read_shard(path) for path in shard_paths(run.states_dir)]
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0] if name != "starts"}


def test_shards_hold_what_the_engine_says(recorded: RunFolder) -> None:
    """Bit for bit: each dialogue in one verify call of its own, in an engine of its own."""
    lines = list(read_lines(recorded.text_file))
    arrays = contents(recorded)
    engine = _core.Engine(str(TINY), threads=1, max_rows=512)
    row = 0
    for number, line in enumerate(lines):
        tokens = line["prompt_ids"] + line["answer_ids"]
        count, first = len(tokens), len(line["prompt_ids"]) - 1
        rows = slice(row, row + count)
        logits, states, taps = engine.verify(
            [0] * count, tokens, range(count), range(-1, count - 1), [True] * count, [True] * count, [0, 1]
        )
        assert arrays["tokens"][rows].tolist() == tokens
        assert arrays["loss_mask"][rows].tolist() == [0] * (first + 1) + [1] * (count - first - 1)
        np.testing.assert_array_equal(arrays["states"][rows], states.astype(np.float16))
        np.testing.assert_array_equal(arrays["taps"][rows], taps.astype(np.float16))
        wide = logits.astype(np.float64)
        logprobs = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
        best = np.argsort(-logits, axis=1, kind="stable")[:, :4]
        wanted = slice(first, count - 1)
        np.testing.assert_array_equal(arrays["top_ids"][rows][wanted], best[wanted])
        expected = np.take_along_axis(logprobs, best, axis=1)[wanted]
        np.testing.assert_allclose(arrays["top_logprobs"][rows][wanted], expected, rtol=1e-3, atol=1e-4)
        assert not arrays["top_ids"][rows][:first].any()
        assert not arrays["top_logprobs"][rows][:first].any()
        assert arrays["dialogues"][number] == line["index"]
        assert arrays["splits"][number] == SPLITS[line["split"]]
        assert arrays["temperatures"][number] == np.float16(line["temperature"])
        row += count
    assert row == len(arrays["tokens"])


def test_recording_side_by_side_changes_nothing(run: RunFolder, recorded: RunFolder) -> None:
    record_states(run, TINY, SETTINGS, threads=3)
    assert len(shard_paths(run.states_dir)) == 1
    ours, theirs = contents(run), contents(recorded)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_recording_goes_on_behind_the_last_shard(
    recorded: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it wrote the third shard: a temporary file is left."""
    run = copy_of(recorded, tmp_path / "run")
    for path in shard_paths(run.states_dir)[2:]:
        path.unlink()
    (run.states_dir / ".0002.safetensors.tmp").write_bytes(b"half")
    monkeypatch.setattr(record, "SHARD_BYTES", 400_000)
    told: list[tuple[str, int, int]] = []
    plan = plan_recording(run, TINY, SETTINGS)
    assert (
        record_states(run, TINY, SETTINGS, threads=2, progress=lambda *event: told.append(event)).rows
        == plan.rows
    )
    assert told[-1] == ("record", plan.rows, plan.rows)
    names = sorted(path.name for path in run.states_dir.iterdir())
    assert names == [path.name for path in shard_paths(recorded.states_dir)]
    for ours, theirs in zip(shard_paths(run.states_dir), shard_paths(recorded.states_dir), strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
    assert plan_recording(run, TINY, SETTINGS).rows == 0


def test_text_written_later_gets_a_shard_of_its_own(run: RunFolder, recorded: RunFolder) -> None:
    text = run.text_file.read_bytes()
    lines = text.splitlines(keepends=True)
    run.text_file.write_bytes(b"".join(lines[:5]) + lines[5][:9])
    assert record_states(run, TINY, SETTINGS, threads=1).dialogues == 5
    run.text_file.write_bytes(text)
    assert record_states(run, TINY, SETTINGS, threads=1).dialogues == len(lines) - 5
    assert len(shard_paths(run.states_dir)) == 2
    np.testing.assert_array_equal(contents(run)["states"], contents(recorded)["states"])


def test_the_announced_size_is_what_is_written(recorded: RunFolder, run: RunFolder) -> None:
    plan = plan_recording(run, TINY, SETTINGS)
    size = sum(path.stat().st_size for path in shard_paths(recorded.states_dir))
    assert plan.bytes <= size <= plan.bytes + 20_000
    assert plan.rows == len(contents(recorded)["tokens"])


def test_evaluation_prompts_known_by_now_are_left_out(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = list(read_lines(run.text_file))
    monkeypatch.setattr(record, "evaluation_hashes", lambda: frozenset({lines[1]["prompt_hash"]}))
    record_states(run, TINY, SETTINGS, threads=1)
    expected = [line["index"] for line in lines if line is not lines[1]]
    assert contents(run)["dialogues"].tolist() == expected


def test_too_small_a_disk_is_found_before_anything_is_computed(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record.shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 5000))
    with pytest.raises(OSError, match=r"recording needs [0-9.]+ MB and 0\.0 MB are free; free some space"):
        record_states(run, TINY, SETTINGS, threads=1)
    assert not run.states_dir.exists()


def test_a_disk_that_fills_up_leaves_whole_shards(
    run: RunFolder, recorded: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "SHARD_BYTES", 400_000)
    written = iter([True, False])

    def sync(descriptor: int) -> None:
        if not next(written):
            raise OSError(28, "No space left on device")

    record_states_fails = pytest.raises(OSError, match="No space left")
    run.claim("record", {"taps": [0, 1], "top_k": 4})
    monkeypatch.setattr(files.os, "fsync", sync)
    with record_states_fails:
        record_states(run, TINY, SETTINGS, threads=1)
    monkeypatch.undo()
    assert len(shard_paths(run.states_dir)) <= 1
    assert not list(run.states_dir.glob(".*"))
    record_states(run, TINY, SETTINGS, threads=1)
    np.testing.assert_array_equal(contents(run)["states"], contents(recorded)["states"])


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 0.9999))
def test_a_truncated_shard_is_named(
    recorded: RunFolder, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    whole = shard_paths(recorded.states_dir)[0].read_bytes()
    path = tmp_path_factory.mktemp("torn") / "0000.safetensors"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ModelFormatError, match=r"0000\.safetensors"):
        read_shard(path)


def test_a_shard_of_another_run_is_named(recorded: RunFolder, tmp_path: Path) -> None:
    run = copy_of(recorded, tmp_path / "run")
    shutil.rmtree(run.states_dir)
    shutil.copytree(recorded.states_dir, run.states_dir)
    other = RunFolder(tmp_path / "other", ModelIdentity("other", "f" * 64, ""))
    shutil.copytree(run.states_dir, other.states_dir)
    with pytest.raises(
        ModelFormatError, match=r"0000\.safetensors: model_sha256: is .* the shard of another run"
    ):
        plan_recording(other, TINY, SETTINGS)
    first, second = shard_paths(run.states_dir)[:2]
    second.write_bytes(first.read_bytes())
    with pytest.raises(ModelFormatError, match=r"0001\.safetensors: dialogues: do not go on"):
        plan_recording(run, TINY, SETTINGS)
    second.unlink()
    with pytest.raises(ModelFormatError, match=r"0001\.safetensors: is missing"):
        plan_recording(run, TINY, SETTINGS)


def test_other_settings_are_refused(recorded: RunFolder) -> None:
    with pytest.raises(ArgumentError, match=r"record stage was begun with other settings \(top_k 4 -> 5\)"):
        record_states(recorded, TINY, RecordSettings(taps=(0, 1), top_k=5))


@pytest.mark.parametrize("wrong", [{"taps": (1, 0)}, {"taps": (1, 1)}, {"top_k": 0}, {"top_k": 257}])
def test_settings_out_of_range_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        RecordSettings(**wrong)


def test_a_layer_that_does_not_exist_is_refused(run: RunFolder) -> None:
    with pytest.raises(Error, match="2"):
        record_states(run, TINY, RecordSettings(taps=(2,)), threads=1)
    assert not run.states_dir.exists()


@given(st.integers(1, 1200), st.integers(1, 16), st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(deadline=None)
def test_top_candidates_are_those_of_a_full_sort(vocab: int, count: int, seed: int, levels: int) -> None:
    """With many equal values: ties go to the lowest id."""
    numbers = np.random.default_rng(seed)
    logits = numbers.integers(0, levels, (3, vocab)).astype(np.float32) / 4
    count = min(count, vocab)
    ids, logprobs = top_candidates(logits, count)
    np.testing.assert_array_equal(ids, np.argsort(-logits, axis=1, kind="stable")[:, :count])
    wide = logits.astype(np.float64)
    exact = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(logprobs, np.take_along_axis(exact, ids, axis=1), rtol=1e-5, atol=1e-5)
