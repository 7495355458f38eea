"""From trained heads to what is shipped: quantised, packed, and joined with their trunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from mtp_rt.convert.heads_package import Base, write_heads_package
from mtp_rt.convert.join_heads import assemble, without_trunk_rows
from mtp_rt.convert.quantize import quantize
from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir import HeadsConfig, Kind, ModelDir, heads_layout_of, parts_of, read_model_dir
from mtp_rt.model_dir import Tensor as StoredTensor
from mtp_rt.models.heads import ExtraHeads
from mtp_rt.training.distill.acceptance import Acceptance
from mtp_rt.training.distill.checkpoint import load_checkpoint
from mtp_rt.training.distill.fit_config import FitConfig
from mtp_rt.training.distill.frozen import heads_on
from mtp_rt.training.distill.place import Place
from mtp_rt.training.distill.tapped import rescale_fuse

UNEMBED, FUSE = "heads.unembed.weight", "heads.fuse.weight"


@dataclass(frozen=True)
class HeadKinds:
    """Kinds in which heads are stored.

    Attributes:
        body: of every matrix but the output matrix; a fuse of tapped layers has 16 bits at least.
        unembed: of the output matrix.
    """

    body: Kind = "q4"
    unembed: Kind = "q8"

    def of(self, name: str) -> Kind:
        """Return the kind of a matrix; tapped values differ too much in size for one scale in 32."""
        if name == FUSE and self.body in ("q4", "q8"):
            return "bf16"
        return self.unembed if name == UNEMBED else self.body


@dataclass(frozen=True)
class TrainedHeads:
    """What a checkpoint holds.

    Attributes:
        heads: the heads, with the averaged weights.
        config: how they were trained.
        place: how far.
    """

    heads: ExtraHeads
    config: FitConfig
    place: Place


def trained_heads(model_dir: Path, checkpoint: Path) -> TrainedHeads:
    """Return the heads of a checkpoint.

    Raises:
        ModelFormatError: there is no such checkpoint, or it is damaged.
    """
    saved = load_checkpoint(checkpoint, None)
    if saved is None:
        raise ModelFormatError(str(checkpoint), "", "does not exist; train first")
    config, model = FitConfig(**saved["config"]), read_model_dir(model_dir)
    described = config.heads_for(model.config)
    heads = heads_on(model, described, saved["draft_ids"])
    heads.load_state_dict(saved["average"])
    if (scale_LD := saved.get("tap_scale")) is not None:
        rescale_fuse(heads, scale_LD)
    return TrainedHeads(heads, config, Place(**saved["place"]))


def with_draft_vocabulary(heads: ExtraHeads, model: ModelDir, ids: Tensor) -> ExtraHeads:
    """Return the same heads with other rows of the trunk's output matrix: nothing is trained in them."""
    config = replace(heads.config, draft_vocab_size=len(ids))
    other = heads_on(model, config, ids)
    other.load_state_dict(heads.state_dict())
    return other


def stored_heads(heads: ExtraHeads, model: ModelDir, kinds: HeadKinds) -> Iterator[StoredTensor]:
    """Give the stored tensors of heads on a trunk."""
    weights = {f"heads.{name}": value for name, value in heads.state_dict().items()}
    weights[UNEMBED] = heads.unembedding
    layout = heads_layout_of(replace(model.config, extra_heads=heads.config))
    for name, size in layout.vectors.items():
        yield name, "F32", (size,), weights[name].detach().float().cpu().numpy()
    for name, (rows, cols) in layout.matrices.items():
        kind = kinds.of(name)
        parts = quantize(weights[name].detach().float().cpu().numpy(), kind)
        for part, (dtype, shape) in parts_of(name, kind, rows, cols).items():
            yield part, dtype, shape, parts[part.removeprefix(name)]
    for name, (size, _) in layout.ids.items():
        yield name, "I32", (size,), heads.draft_ids.cpu().numpy().astype(np.int32)


def write_heads(
    heads: ExtraHeads,
    model_dir: Path,
    out: Path,
    kinds: HeadKinds,
    *,
    acceptance: Acceptance | None,
    card: str,
    extra_files: dict[str, bytes] | None = None,
) -> HeadsConfig:
    """Write OUT/package and OUT/model, replacing what stood there; return what config.json says of the heads.

    Args:
        heads: the trained heads.
        model_dir: their trunk.
        out: where both folders go.
        kinds: how they are stored.
        acceptance: what was measured, for config.json.
        card: the model card, README.md of the package.
        extra_files: further files of the package, such as a licence.

    Raises:
        ArgumentError: a weight cannot be stored in its kind.
        OSError: the disk is full or not writable.
    """
    model = read_model_dir(model_dir)
    stored_as = {"heads": kinds.body} | ({"unembed": kinds.unembed} if heads.config.draft_vocab_size else {})
    described = replace(
        heads.config,
        acceptance=None if acceptance is None else tuple(round(chance, 4) for chance in acceptance.alpha),
        quantization=stored_as,
    )
    tensors = without_trunk_rows(list(stored_heads(heads, model, kinds)), model)
    files = {"README.md": card.encode(), **(extra_files or {})}
    write_heads_package(out / "package", Base.of(model), described, tensors, files, replace=True)
    assemble(model_dir, out / "package", out / "model", replace=True)
    return described
