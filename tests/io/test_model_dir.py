"""Good model directories: what the writer was given comes back from the C++ and the Python reader alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_dirs import CONFIG, tiny_parts

from mtp_rt import _core_testing
from mtp_rt.model_dir import read_model_dir, write_model_dir


@pytest.fixture
def tiny_dir(tmp_path: Path) -> Path:
    target = tmp_path / "model"
    write_model_dir(target, CONFIG, ((name, *part) for name, part in tiny_parts().items()))
    return target


def test_both_readers_return_what_was_written(tiny_dir: Path) -> None:
    parts = tiny_parts()
    ours, native = read_model_dir(tiny_dir), _core_testing.ModelDir.open(str(tiny_dir))
    assert list(ours.tensors) == native.tensor_names == sorted(parts)
    for name, (dtype, shape, data) in parts.items():
        assert native.tensor(name) == (dtype, shape, data)
        assert (ours.tensors[name].dtype, ours.tensors[name].shape, ours.tensor(name)) == (dtype, shape, data)
