"""The first weights of heads from a model that has such heads, instead of drawn ones."""

from __future__ import annotations

from pathlib import Path

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import HeadsConfig, ModelDir, heads_layout_of, read_model_dir
from mtp_rt.models.heads import ExtraHeads
from mtp_rt.models.weights import read_matrix, read_vector
from mtp_rt.training.differences import differences
from mtp_rt.training.distill.run_folder import ModelIdentity

# What may differ where weights mean the same: rows of the output matrix are the trunk's own.
_FREE = {"preset", "acceptance", "quantization", "draft_vocab_size"}
_FROZEN = "heads.unembed.weight"


def start_from(path: Path, heads: ExtraHeads, trunk: Path) -> bool:
    """Give `heads` the weights that a model directory's heads have, dequantised.

    Heads with taps can start from such without, which read the trunk's state: their fuse stays as it is.

    Args:
        path: the model directory with heads.
        heads: heads of the same kind; their draft vocabulary may be another one.
        trunk: the model that they are trained for.

    Returns:
        Whether every weight was given; False: all but the fuse.

    Raises:
        ArgumentError: the directory has no heads, or other ones, or is not of the same model.
        ModelFormatError, UnsupportedError: see `read_model_dir`.
    """
    source = read_model_dir(path)
    check_start(source, heads.config, trunk)
    layout = heads_layout_of(source.config)
    weights = {name: read_vector(source, name) for name in layout.vectors} | {
        name: read_matrix(source, name) for name in layout.matrices if name != _FROZEN
    }
    given = {name.removeprefix("heads."): value for name, value in weights.items()}
    return not heads.load_state_dict(given, strict=False).missing_keys


def check_start(source: ModelDir, wanted: HeadsConfig, trunk: Path) -> None:
    """Check that training of such heads on `trunk` can start from the heads of `source`.

    Raises:
        ArgumentError: it cannot; says why.
    """
    found = source.config.extra_heads
    if found is None:
        raise ArgumentError(f"start: {source.path} has no heads; name a model that has some")
    if other := differences(found, wanted, _FREE if found.taps else _FREE | {"taps"}):
        raise ArgumentError(f"start: {source.path} has other heads ({other}); ask for heads as those are")
    own, its = ModelIdentity.of(trunk), ModelIdentity.of(source.path)
    if (own.sha256, own.tokenizer_sha256) != (its.sha256, its.tokenizer_sha256):
        raise ArgumentError(f"start: the heads of {source.path} are for {its.name}, not for {own.name}")
