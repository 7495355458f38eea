"""What both importers share: kinds of tensors, our part of config.json, writing the directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mtp_rt.convert.quantize import Parts
from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import Kind, Layout, Tensor, layout_of, parse_model_config, parts_of, write_model_dir

Progress = Callable[[str, int, int], None]  # (what, done, total)

DEFAULT_TWO_STAGE = True  # search a q8 output matrix in two stages unless told otherwise
DEFAULT_MARGIN = 8.0  # logits within this of the coarse best are computed exactly

_HEADS = ("lm_head.weight", "model.embed_tokens.weight")  # what the option lm_head speaks of


@dataclass(frozen=True)
class Stored:
    """One tensor to be written: a matrix in some kind, or a vector, whose kind is f32."""

    name: str
    kind: Kind
    read: Callable[[], Parts]  # makes the parts, suffix -> array


@dataclass(frozen=True)
class Kinds:
    """The kinds a caller asks for; None keeps the source's own."""

    layers: Kind | None
    head: Kind | None

    @classmethod
    def from_options(cls, quantize: str | None, lm_head: str | None) -> Kinds:
        """Check the importers' options of these names.

        Raises:
            ArgumentError: no such kind.
        """
        return cls(_checked("quantize", quantize), _checked("lm_head", lm_head))

    def of(self, matrix: str, own: Kind) -> Kind:
        """Return the kind of a matrix whose own kind is `own`."""
        return (self.head if matrix in _HEADS else self.layers) or own


def layout(config: Mapping[str, Any], source: Path, rope_layout: str) -> Layout:
    """Check a config's trunk fields and return the tensors it asks for.

    Raises:
        ModelFormatError, UnsupportedError: naming the source file and the field.
    """
    complete = {**config, "mtp_rt": {"format_version": 1, "rope_layout": rope_layout}}
    return layout_of(parse_model_config(json.dumps(complete).encode(), str(source)))


def write(
    target: Path,
    config: Mapping[str, Any],
    stored: list[Stored],
    *,
    rope_layout: str,
    two_stage_head: float | bool | None,
    source: Mapping[str, str],
    extra_files: Mapping[str, bytes | Path],
    replace: bool,
    progress: Progress | None,
) -> None:
    """Write the model directory, one tensor in memory at a time.

    Raises:
        ArgumentError: the two-stage head does not fit, or the target exists and may not be replaced.
        OSError: the disk is full or not writable.
    """
    heads = {tensor.name: tensor.kind for tensor in stored if tensor.name in _HEADS}
    head_kind = heads.get("lm_head.weight", heads["model.embed_tokens.weight"])
    layers = {tensor.kind for tensor in stored if tensor.name.endswith("proj.weight")}
    own = {
        "format_version": 1,
        "rope_layout": rope_layout,
        "two_stage_head": _two_stage(two_stage_head, head_kind),
        "quantization": {"layers": layers.pop() if len(layers) == 1 else "mixed", "lm_head": head_kind},
        "source": dict(source),
    }
    tensors = _tensors(stored, layout(config, target, rope_layout), progress)
    write_model_dir(target, {**config, "mtp_rt": own}, tensors, extra_files, replace=replace)


def _tensors(stored: list[Stored], layout: Layout, progress: Progress | None) -> Iterator[Tensor]:
    for done, tensor in enumerate(stored):
        if progress is not None:
            progress("converting", done, len(stored))
        parts = tensor.read()
        if tensor.name in layout.vectors:
            yield tensor.name, "F32", (layout.vectors[tensor.name],), parts[""].data
            continue
        rows, cols = layout.matrices[tensor.name]
        for name, (dtype, shape) in parts_of(tensor.name, tensor.kind, rows, cols).items():
            yield name, dtype, shape, parts[name.removeprefix(tensor.name)].data
    if progress is not None:
        progress("converting", len(stored), len(stored))


def _checked(option: str, kind: str | None) -> Kind | None:
    known: tuple[Kind, ...] = get_args(Kind)
    if kind is not None and kind not in known:
        raise ArgumentError(f"{option}: {kind!r} is not a kind; choose one of {', '.join(known)}")
    return next((name for name in known if name == kind), None)


def _two_stage(option: float | bool | None, head_kind: Kind) -> dict[str, float] | None:
    """Return the value of mtp_rt.two_stage_head for an option: on, off, a margin, or None for the default."""
    if option is None:
        option = DEFAULT_TWO_STAGE and head_kind == "q8"
    if option is False:
        return None
    if head_kind != "q8":
        raise ArgumentError(
            f"two_stage_head: needs a q8 output matrix, but it is {head_kind}; pass lm_head='q8' as well"
        )
    margin = DEFAULT_MARGIN if option is True else float(option)
    if not 0 < margin <= 100:
        raise ArgumentError(f"two_stage_head: margin {margin} is outside 0 (exclusive) to 100")
    return {"margin": margin}
