"""Pretrained trunks: from a model directory, or from a Hugging Face folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mtp_rt.convert.hf_import import import_hf
from mtp_rt.model_dir import output_matrix, read_model_dir
from mtp_rt.models.trunk import Trunk
from mtp_rt.models.weights import read_weights


def load_trunk(path: str | Path) -> Trunk:
    """Return the trunk of a model directory in float32, its weights as the quantised ones are defined.

    Heads that the directory may have are left out.

    Raises:
        ModelFormatError: the directory is damaged.
        UnsupportedError: an architecture that is not supported.
    """
    model = read_model_dir(path)
    trunk = Trunk(model.config)
    weights = {name: value for name, value in read_weights(model).items() if not name.startswith("heads.")}
    weights["lm_head.weight"] = weights[output_matrix(model.config)]
    trunk.load_state_dict(weights)
    return trunk.eval()


def load_hf_trunk(folder: str | Path) -> Trunk:
    """Return the trunk of a Hugging Face folder (config.json, *.safetensors) in float32.

    Raises:
        ModelFormatError, UnsupportedError: see `mtp_rt.convert.hf_import.import_hf`.
        OSError: the temporary folder has no room for a copy of the weights.
    """
    with tempfile.TemporaryDirectory(prefix="mtp_rt_trunk_") as temporary:
        import_hf(Path(folder), Path(temporary) / "model", quantize="f32", lm_head="f32")
        return load_trunk(Path(temporary) / "model")
