"""Heads packages meet their trunk: one model directory from both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mtp_rt.convert.heads_package import (
    HEADS_FILE,
    IDS,
    UNEMBED,
    Base,
    HeadsPackage,
    heads_fields,
    read_heads_package,
)
from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir import (
    ModelDir,
    Tensor,
    carried_files,
    output_matrix,
    read_model_dir,
    write_model_dir,
)
from mtp_rt.model_dir.config import CONFIG_FILE
from mtp_rt.model_dir.layout import check_layout, heads_layout_of


def without_trunk_rows(tensors: list[Tensor], model: ModelDir) -> list[Tensor]:
    """Return the tensors of heads without the output matrix of a draft vocabulary, if the trunk has its rows.

    `assemble` takes them from there.
    """
    own = {
        name: bytes(memoryview(data).cast("B")) for name, _, _, data in tensors if name.startswith(UNEMBED)
    }
    ids = next((data for name, _, _, data in tensors if name == IDS), None)
    if ids is None or not own:
        return tensors
    rows = {name: bytes(memoryview(data).cast("B")) for name, _, _, data in _trunk_rows(model, ids)}
    return [tensor for tensor in tensors if tensor[0] not in own] if own == rows else tensors


def check_fits(package: HeadsPackage, model: ModelDir) -> None:
    """Check that the heads are those of this trunk.

    Raises:
        ModelFormatError: sizes, tokenizer or weights differ; names both sides.
    """
    where, trunk = str(package.path), model.config
    described = replace(trunk, extra_heads=package.heads)
    for layer in package.heads.taps:
        if layer >= trunk.layers:
            raise ModelFormatError(
                where, "taps", f"names layer {layer}; {model.path} has {trunk.layers} layers"
            )
    size = package.heads.draft_vocab_size
    if size is not None and size > trunk.vocab_size:
        problem = f"is {size}, more than the vocabulary of {model.path}, {trunk.vocab_size}"
        raise ModelFormatError(where, "draft_vocab_size", problem)
    layout = heads_layout_of(described)
    if package.leaves_out_rows:
        del layout.matrices[UNEMBED]
    try:
        check_layout(package.tensors, package.data, layout)
    except ModelFormatError as error:
        problem = f"{error.problem} (the heads are for {package.base.name}; the trunk is {model.path})"
        raise ModelFormatError(f"{where}/{HEADS_FILE}", error.field, problem) from None
    ours = Base.of(model)
    for name, what in (("tokenizer_sha256", "the tokenizer"), ("sha256", "the weights")):
        asked, found = getattr(package.base, name), getattr(ours, name)
        if asked != found:
            problem = (
                f"the heads were made for {what} {asked[:12] or 'none'}... of {package.base.name}, but "
                f"{model.path} ({ours.name}) has {found[:12] or 'none'}...; use the base they were made for"
            )
            raise ModelFormatError(f"{where}/{CONFIG_FILE}", f"base.{name}", problem)


def assemble(base: str | Path, package: str | Path, target: str | Path, *, replace: bool = False) -> None:
    """Write the complete model directory: the trunk in `base` (heads it may have are left out) and the heads.

    Raises:
        ModelFormatError: one of both is damaged, or they do not fit.
        ArgumentError: `target` exists and may not be replaced.
        OSError: the disk is full or not writable.
    """
    model, heads = read_model_dir(base), read_heads_package(package)
    check_fits(heads, model)
    config = json.loads((model.path / CONFIG_FILE).read_bytes())
    config["mtp_rt"]["heads"] = heads_fields(heads.heads)
    # The weights' file is another one now: what the trunk was made from still names it.
    config["mtp_rt"]["source"] = {**model.config.source, "sha256": heads.base.sha256}
    tensors = _trunk_and_heads(model, heads)
    write_model_dir(target, config, tensors, carried_files(model), replace=replace)


def _trunk_and_heads(model: ModelDir, heads: HeadsPackage) -> Iterator[Tensor]:
    for name, tensor in sorted(model.tensors.items(), key=lambda entry: entry[1].begin):
        if not name.startswith("heads."):
            yield name, tensor.dtype, tensor.shape, model.tensor(name)
    yield from heads.stored()
    if heads.leaves_out_rows:
        ids = heads.tensors[IDS]
        yield from _trunk_rows(model, heads.data[ids.begin : ids.end])


def _trunk_rows(model: ModelDir, ids: Any) -> Iterator[Tensor]:
    """Give the rows of the trunk's output matrix that `ids`, int32, name, as the heads' output matrix."""
    chosen = np.frombuffer(memoryview(ids).cast("B"), np.int32)
    matrix = output_matrix(model.config)
    for name, tensor in model.tensors.items():
        if name == matrix or name.rpartition(".")[0] == matrix:
            rows = np.frombuffer(model.tensor(name), np.uint8).reshape(tensor.shape[0], -1)
            shape = (len(chosen), *tensor.shape[1:])
            yield UNEMBED + name.removeprefix(matrix), tensor.dtype, shape, rows[chosen].data
