"""Heads packages: written, read, joined with their trunk, and refused where they do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heads_packages import HEADS, tensors

from mtp_rt.convert.heads_package import (
    HEADS_FILE,
    UNEMBED,
    Base,
    read_heads_package,
    write_heads_package,
)
from mtp_rt.convert.join_heads import assemble, without_trunk_rows
from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.model_dir import read_model_dir


@pytest.fixture
def package(tiny_model: Path, tmp_path: Path) -> Path:
    model = read_model_dir(tiny_model)
    path = tmp_path / "package"
    files = {"README.md": b"# Heads\n"}
    write_heads_package(path, Base.of(model), HEADS, tensors(model.config, HEADS), files)
    return path


def test_a_package_is_read_as_it_was_written(package: Path, tiny_model: Path) -> None:
    read = read_heads_package(package)
    assert read.heads == HEADS
    assert read.base == Base.of(read_model_dir(tiny_model))
    expected = {
        name: bytes(np.ascontiguousarray(data)) for name, _, _, data in tensors(_config(tiny_model), HEADS)
    }
    assert {name: bytes(data) for name, _, _, data in read.stored()} == expected
    assert (package / "README.md").read_bytes() == b"# Heads\n"


def _config(path: Path) -> Any:
    return read_model_dir(path).config


def test_assembled_it_is_the_trunk_and_the_heads(package: Path, tiny_model: Path, tmp_path: Path) -> None:
    assemble(tiny_model, package, tmp_path / "model")
    trunk, whole, heads = (
        read_model_dir(tiny_model),
        read_model_dir(tmp_path / "model"),
        read_heads_package(package),
    )
    source = {**trunk.config.source, "sha256": Base.of(trunk).sha256}
    assert whole.config == replace(trunk.config, extra_heads=HEADS, source=source)
    for name in trunk.tensors:
        assert whole.tensor(name) == trunk.tensor(name)
    for name, _, _, data in heads.stored():
        assert whole.tensor(name) == data
    assert set(whole.tensors) == set(trunk.tensors) | set(heads.tensors)
    files = {path.name for path in tiny_model.iterdir()}
    assert {path.name for path in (tmp_path / "model").iterdir()} == files


def test_new_heads_replace_old_ones(package: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The base may have heads itself; its own are left out, and it is still the same base."""
    assemble(tiny_model, package, tmp_path / "once")
    assemble(tmp_path / "once", package, tmp_path / "twice")
    once, twice = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("once", "twice"))
    assert once == twice


@pytest.fixture
def with_trunk_rows(tiny_model: Path) -> list[Any]:
    """Heads that score with the trunk's own rows, as a package that holds these."""
    model = read_model_dir(tiny_model)
    ids = np.arange(HEADS.draft_vocab_size or 0, dtype=np.int32) * 2
    rows = []
    for part in (".q8", ".scale"):  # the tiny model's output matrix
        stored = model.tensors[f"model.embed_tokens.weight{part}"]
        table = np.frombuffer(model.tensor(f"model.embed_tokens.weight{part}"), np.uint8)
        chosen = table.reshape(stored.shape[0], -1)[ids]
        rows.append((f"{UNEMBED}{part}", stored.dtype, (len(ids), *stored.shape[1:]), chosen))
    others = [tensor for tensor in tensors(model.config, HEADS) if not tensor[0].startswith(UNEMBED)]
    return [*others, *rows]


def test_rows_of_the_trunk_stay_out_and_come_back(
    with_trunk_rows: list[Any], tiny_model: Path, tmp_path: Path
) -> None:
    model = read_model_dir(tiny_model)
    left = without_trunk_rows(with_trunk_rows, model)
    assert {name for name, *_ in with_trunk_rows} - {name for name, *_ in left} == {
        f"{UNEMBED}.q8",
        f"{UNEMBED}.scale",
    }
    for name, kept in (("whole", with_trunk_rows), ("small", left)):
        write_heads_package(tmp_path / name, Base.of(model), HEADS, kept, {})
        assemble(tiny_model, tmp_path / name, tmp_path / f"{name}-model")
    whole, small = (
        {path.name: path.read_bytes() for path in (tmp_path / f"{name}-model").iterdir()}
        for name in ("whole", "small")
    )
    assert whole == small
    sizes = [(tmp_path / name / HEADS_FILE).stat().st_size for name in ("whole", "small")]
    assert sizes[0] - sizes[1] >= (HEADS.draft_vocab_size or 0) * model.config.hidden_size


def test_other_rows_than_the_trunks_stay_in(with_trunk_rows: list[Any], tiny_model: Path) -> None:
    model = read_model_dir(tiny_model)
    own = tensors(model.config, HEADS)  # q4, drawn
    assert without_trunk_rows(own, model) == own
    name, dtype, shape, rows = with_trunk_rows[-1]
    changed = rows.copy()
    changed[5, 0] ^= 1
    almost = [*with_trunk_rows[:-1], (name, dtype, shape, changed)]
    assert without_trunk_rows(almost, model) == almost
    no_vocabulary = [tensor for tensor in own if not tensor[0].startswith((UNEMBED, "heads.draft_ids"))]
    assert without_trunk_rows(no_vocabulary, model) == no_vocabulary


@pytest.mark.parametrize("ids", [[1 << 20], [-1], [5, 5]])
def test_rows_that_the_trunk_lacks_are_refused(
    ids: list[int], with_trunk_rows: list[Any], tiny_model: Path, tmp_path: Path
) -> None:
    model = read_model_dir(tiny_model)
    wrong = np.arange(HEADS.draft_vocab_size or 0, dtype=np.int32)
    wrong[-len(ids) :] = ids
    left = [
        (name, dtype, shape, wrong if name == "heads.draft_ids" else data)
        for name, dtype, shape, data in without_trunk_rows(with_trunk_rows, model)
    ]
    write_heads_package(tmp_path / "package", Base.of(model), HEADS, left, {})
    with pytest.raises(ModelFormatError, match=r"heads\.draft_ids"):
        assemble(tiny_model, tmp_path / "package", tmp_path / "model")


def edit(package: Path, **base: str) -> None:
    document = json.loads((package / "config.json").read_text())
    document["mtp_rt_heads"]["base"] |= base
    (package / "config.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ({"sha256": "0" * 64}, r"base\.sha256.*made for the weights 000000000000.*has"),
        ({"tokenizer_sha256": "f" * 64}, r"base\.tokenizer_sha256.*the tokenizer ffffffffffff"),
    ],
)
def test_another_base_is_refused_naming_both(
    base: dict[str, str], problem: str, package: Path, tiny_model: Path, tmp_path: Path
) -> None:
    edit(package, **base)
    with pytest.raises(ModelFormatError, match=problem):
        assemble(tiny_model, package, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_other_sizes_are_refused_naming_both(package: Path, tiny_model: Path, tmp_path: Path) -> None:
    document = json.loads((package / "config.json").read_text())
    document["mtp_rt_heads"]["heads"]["intermediate_size"] = 128
    (package / "config.json").write_text(json.dumps(document))
    with pytest.raises(
        ModelFormatError, match=r"has shape .*; config\.json asks for .*heads are for .*trunk is"
    ):
        assemble(tiny_model, package, tmp_path / "model")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"draft_vocab_size": 1 << 19}, "more than the vocabulary of"),
        ({"taps": [700]}, r"names layer 700; .* has \d+ layers"),
    ],
)
def test_heads_that_ask_for_more_than_the_trunk_has(
    fields: dict[str, Any], problem: str, package: Path, tiny_model: Path, tmp_path: Path
) -> None:
    document = json.loads((package / "config.json").read_text())
    document["mtp_rt_heads"]["heads"] |= fields
    (package / "config.json").write_text(json.dumps(document))
    with pytest.raises(ModelFormatError, match=problem):
        assemble(tiny_model, package, tmp_path / "model")


def cut(package: Path) -> None:
    path = package / HEADS_FILE
    path.write_bytes(path.read_bytes()[:-8])


def empty(package: Path) -> None:
    (package / HEADS_FILE).write_bytes(b"")


def without_weights(package: Path) -> None:
    (package / HEADS_FILE).unlink()


def without_config(package: Path) -> None:
    (package / "config.json").unlink()


def newer(package: Path) -> None:
    path = package / "config.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (cut, r"heads\.safetensors.*truncated"),
        (empty, r"heads\.safetensors.*cannot be read"),
        (without_weights, r"heads\.safetensors.*cannot be read"),
        (without_config, r"config\.json.*cannot be opened"),
        (newer, r"config\.json.*format_version.*newer than this mtp-rt"),
    ],
)
def test_damage_is_named(damage: Callable[[Path], None], problem: str, package: Path) -> None:
    damage(package)
    with pytest.raises(ModelFormatError, match=problem):
        read_heads_package(package)


def test_an_interrupted_write_leaves_the_old_package(package: Path, tiny_model: Path) -> None:
    before = {path.name: path.read_bytes() for path in package.iterdir()}
    broken = [*tensors(_config(tiny_model), HEADS), ("trunk.weight", "F32", (1,), np.ones(1, np.float32))]
    with pytest.raises(ArgumentError, match=r"trunk\.weight is not a tensor of heads"):
        write_heads_package(package, Base.of(read_model_dir(tiny_model)), HEADS, broken, {}, replace=True)
    assert {path.name: path.read_bytes() for path in package.iterdir()} == before
    assert [path.name for path in package.parent.iterdir()] == ["package"]


def test_without_leave_nothing_is_replaced(package: Path, tiny_model: Path) -> None:
    shutil.copy(package / "README.md", package / "mine.txt")
    model = read_model_dir(tiny_model)
    with pytest.raises(ArgumentError, match="is not empty"):
        write_heads_package(package, Base.of(model), HEADS, tensors(model.config, HEADS), {})
