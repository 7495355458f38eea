"""The writer: whole or not at all. The oracle is the file system: what stands there after a failure."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_dirs import CONFIG, tiny_parts

from mtp_rt.errors import ArgumentError, ModelFormatError, UnsupportedError
from mtp_rt.model_dir import ModelDir, read_model_dir, write_model_dir

Stream = Iterator[tuple[str, str, tuple[int, ...], Any]]


def stream() -> Stream:
    return ((name, *part) for name, part in tiny_parts().items())


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A directory that a failing write must leave as it is."""
    target = tmp_path / "model"
    write_model_dir(target, CONFIG, stream(), {"tokenizer.json": b'{"old": true}'})
    return target


def test_replaces_only_when_told(old: Path) -> None:
    before = snapshot(old.parent)
    with pytest.raises(ArgumentError, match="not empty"):
        write_model_dir(old, CONFIG, stream())
    assert snapshot(old.parent) == before
    write_model_dir(old, CONFIG, stream(), {"chat_template.jinja": b"x"}, replace=True)
    assert sorted(snapshot(old.parent)) == [
        "model/chat_template.jinja",
        "model/config.json",
        "model/model.safetensors",
    ]


def test_a_directory_filled_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def rival() -> Stream:
        yield from stream()
        write_model_dir(tmp_path / "model", CONFIG, stream(), {"rival": b""})

    with pytest.raises(OSError, match="not empty"):
        write_model_dir(tmp_path / "model", CONFIG, rival())
    assert sorted(snapshot(tmp_path)) == ["model/config.json", "model/model.safetensors", "model/rival"]


def test_an_empty_directory_may_be_filled(tmp_path: Path) -> None:
    write_model_dir(tmp_path, CONFIG, stream())
    read_model_dir(tmp_path)
    assert sorted(snapshot(tmp_path)) == ["config.json", "model.safetensors"]


def test_extra_files_come_from_bytes_or_paths(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"{}")
    write_model_dir(tmp_path / "m", CONFIG, stream(), {"tokenizer.json": tmp_path / "source", "notes": b"n"})
    assert (tmp_path / "m" / "tokenizer.json").read_bytes() == b"{}"
    assert (tmp_path / "m" / "notes").read_bytes() == b"n"


def test_derived_files_are_made_from_the_written_weights(tmp_path: Path) -> None:
    """A derived file may say where a tensor lies: it does lie there in the end."""

    def derive(model: ModelDir) -> dict[str, bytes]:
        return {"where": json.dumps({name: [t.begin, t.end] for name, t in model.tensors.items()}).encode()}

    write_model_dir(tmp_path / "m", CONFIG, stream(), {"notes": b"n"}, derive=derive)
    where = json.loads((tmp_path / "m" / "where").read_bytes())
    assert where == {name: [t.begin, t.end] for name, t in read_model_dir(tmp_path / "m").tensors.items()}
    for taken in ("notes", "config.json", "a/b"):
        with pytest.raises(ArgumentError, match="derive"):
            write_model_dir(
                tmp_path / "x", CONFIG, stream(), {"notes": b"n"}, derive=lambda _, taken=taken: {taken: b""}
            )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]


def broken_off() -> Stream:
    yield from list(stream())[:5]
    raise KeyboardInterrupt


def with_change(name: str, *part: Any) -> Stream:
    """The good tensors; `part` (dtype, shape, buffer) in place of `name`, or nothing."""
    for tensor, *rest in stream():
        if tensor != name:
            yield tensor, *rest
        elif part:
            yield tensor, *part


NORM = "model.norm.weight"


def with_more(name: str, *part: Any) -> Stream:
    yield from stream()
    yield name, *part


FAILURES: dict[str, tuple[type[BaseException], Callable[[], tuple[Any, ...]]]] = {
    "interrupted": (KeyboardInterrupt, lambda: (CONFIG, broken_off())),
    "no tensors": (ModelFormatError, lambda: (CONFIG, iter(()))),
    "one missing": (ModelFormatError, lambda: (CONFIG, with_change(NORM))),
    "one twice": (ModelFormatError, lambda: (CONFIG, with_more(NORM, "F32", (64,), bytes(256)))),
    "unknown": (ModelFormatError, lambda: (CONFIG, with_more("x", "F32", (64,), bytes(256)))),
    "stored twice": (
        ModelFormatError,
        lambda: (CONFIG, with_more("lm_head.weight", "F32", (33, 64), bytes(8448))),
    ),
    "wrong dtype": (ModelFormatError, lambda: (CONFIG, with_change(NORM, "F16", (64,), bytes(128)))),
    "not finite": (
        ModelFormatError,
        lambda: (CONFIG, with_change("lm_head.weight.scale", "F16", (33, 2), b"\xff" * 132)),
    ),
    "short buffer": (ArgumentError, lambda: (CONFIG, with_change(NORM, "F32", (64,), bytes(255)))),
    "unknown dtype": (ArgumentError, lambda: (CONFIG, with_change(NORM, "F64", (64,), bytes(512)))),
    "bad config": (ModelFormatError, lambda: (CONFIG | {"hidden_size": 33}, stream())),
    "long config": (ModelFormatError, lambda: (CONFIG | {"notes": "n" * (1 << 20)}, stream())),
    "unsupported": (UnsupportedError, lambda: (CONFIG | {"model_type": "gpt2"}, stream())),
    "NaN in the config": (ValueError, lambda: (CONFIG | {"notes": float("nan")}, stream())),
    "file outside": (ArgumentError, lambda: (CONFIG, stream(), {"../x": b""})),
    "file of ours": (ArgumentError, lambda: (CONFIG, stream(), {"config.json": b""})),
    "no source": (FileNotFoundError, lambda: (CONFIG, stream(), {"x": Path("/nowhere/tokenizer.json")})),
}


@pytest.mark.parametrize(("error", "arguments"), FAILURES.values(), ids=FAILURES)
def test_a_failure_leaves_everything_as_it_was(error: type[BaseException], arguments: Any, old: Path) -> None:
    before = snapshot(old.parent)
    with pytest.raises(error):
        write_model_dir(old, *arguments(), replace=True)
    assert snapshot(old.parent) == before
    assert [path.name for path in old.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("limit", [100, 1000, 5000, 40000])
def test_a_full_disk_leaves_everything_as_it_was(limit: int, old: Path) -> None:
    """A limit on the size of files stands for the disk: writing past it fails the same way."""
    before = snapshot(old.parent)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OSError, match=r"model\.|config\.") as caught:
            write_model_dir(old, CONFIG, stream(), replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename is not None
    assert snapshot(old.parent) == before


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny_dirs import CONFIG, tiny_parts
from mtp_rt.model_dir import write_model_dir

def stream():
    for at, (name, part) in enumerate(tiny_parts().items()):
        if at == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        yield name, *part

write_model_dir(Path(sys.argv[2]), CONFIG, stream(), replace=True)
"""


@pytest.mark.parametrize("at", [0, 12, 23])
def test_killed_while_writing(at: int, old: Path) -> None:
    before = snapshot(old)
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(old), str(at)]
    done = subprocess.run(command, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert snapshot(old) == before
    read_model_dir(old)


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("x")], ids=["file", "link"])
def test_a_target_that_is_no_directory_is_refused(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "model")
    with pytest.raises(ArgumentError, match="not a directory"):
        write_model_dir(tmp_path / "model", CONFIG, stream(), replace=True)
    assert not (tmp_path / "x").exists()


def test_arrays_are_written_as_they_lie_in_memory(tmp_path: Path) -> None:
    norm = np.arange(64, dtype=np.float32)
    write_model_dir(tmp_path / "model", CONFIG, with_change(NORM, "F32", norm.shape, norm))
    assert np.array_equal(np.frombuffer(read_model_dir(tmp_path / "model").tensor(NORM), np.float32), norm)


def test_tensors_are_consumed_one_at_a_time(tmp_path: Path) -> None:
    """No buffer outlives the step that wrote it, but the few small ones that wait for the end."""
    alive: set[str] = set()

    class Buffer(bytearray):
        def __init__(self, name: str, data: bytes) -> None:
            super().__init__(data)
            self.name = name
            alive.add(name)

        def __del__(self) -> None:
            alive.discard(self.name)

    def tracked() -> Stream:
        for name, dtype, shape, data in stream():
            yield name, dtype, shape, Buffer(name, data)
            assert len(alive) <= 1

    write_model_dir(tmp_path / "model", CONFIG, tracked())
    assert not alive
