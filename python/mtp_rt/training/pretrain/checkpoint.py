"""Checkpoints of training from scratch: one safetensors file, replaced whole.

Tensors `model.NAME`, and for every parameter that has been trained `optimizer.NAME.exp_avg`, `.exp_avg_sq`
and `.step`; the metadata hold the settings, the digest of the data and where training stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.model_dir.safetensors import (
    LENGTH_BYTES,
    StoredTensor,
    file_start,
    header_length,
    parse_header,
)
from mtp_rt.training.files import write_atomically
from mtp_rt.training.pretrain.sections import HeadsChoice, TrainingConfig

CHECKPOINT = "checkpoint.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
# Tables and fields that may change when a run goes on: they do not decide what the steps so far have done.
_FREE = (
    "export.",
    "training.evaluate_every",
    "training.evaluate_sequences",
    "training.checkpoint_every",
    "training.threads",
    "training.steps",
)
_ARCHITECTURE = (
    "model.",
    "heads.preset",
    "heads.n",
    "heads.compute_matched",
    "heads.intermediate_size",
    "heads.unembedding",
)
_DEFAULTS = {"heads": asdict(HeadsChoice()), "training": asdict(TrainingConfig())}


@dataclass
class Place:
    """Where training stands.

    Attributes:
        step: steps taken.
        tokens: read so far.
        seconds: spent training, over all sittings.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def checkpoint_bytes(model: nn.Module) -> int:
    """Return about how large a model's checkpoint is."""
    return 3 * 4 * sum(parameter.numel() for parameter in model.parameters())


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    place: Place,
    *,
    settings: Mapping[str, Any],
    data: str,
) -> None:
    """Write a checkpoint and rename it into place.

    Raises:
        OSError: the disk is full or not writable; the one before stands.
    """
    tensors = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        for moment, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{moment}"] = value
    arrays = {name: value.detach().float().cpu().contiguous().numpy() for name, value in tensors.items()}
    stored, cursor = {}, 0
    for name, array in arrays.items():
        stored[name] = StoredTensor("F32", array.shape, cursor, cursor + array.nbytes)
        cursor += array.nbytes
    metadata = {"settings": json.dumps(settings), "data": data, "place": json.dumps(asdict(place))}
    write_atomically(path, [file_start(stored, metadata), *(array.tobytes() for array in arrays.values())])


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        tensors: float32 values by name.
        place: where training stood.
        settings: by table and field.
        data: digest of the tokens.
    """

    tensors: Mapping[str, Tensor]
    place: Place
    settings: Mapping[str, Any]
    data: str

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Give model and optimiser what they had.

        Raises:
            ModelFormatError: a tensor is missing or has another shape.
        """
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(self._tensor(f"model.{name}", parameter))
                if f"optimizer.{name}.step" in self.tensors:
                    shapes = (parameter, parameter, torch.empty(()))
                    optimizer.state[parameter] = {
                        moment: self._tensor(f"optimizer.{name}.{moment}", like).clone().to(parameter.device)
                        for moment, like in zip(_MOMENTS, shapes, strict=True)
                    }

    def _tensor(self, name: str, like: Tensor) -> Tensor:
        tensor = self.tensors.get(name)
        if tensor is None or tensor.shape != like.shape:
            found = (
                "is missing" if tensor is None else f"has shape {list(tensor.shape)}, not {list(like.shape)}"
            )
            raise ModelFormatError(CHECKPOINT, name, f"{found}; choose another --out")
        return tensor


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Return a checkpoint, or None if there is none.

    Raises:
        ModelFormatError: the file is damaged.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    length = header_length(content[:LENGTH_BYTES], len(content), str(path))
    header = content[LENGTH_BYTES : LENGTH_BYTES + length]
    tensors = {
        name: torch.from_numpy(np.frombuffer(content[at.begin : at.end], np.float32).reshape(at.shape).copy())
        for name, at in parse_header(header, len(content), str(path)).items()
    }
    try:
        metadata = json.loads(header)["__metadata__"]
        place, settings = Place(**json.loads(metadata["place"])), json.loads(metadata["settings"])
        return Checkpoint(tensors, place, settings, metadata["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFormatError(
            str(path), "metadata", f"is damaged ({error}); choose another --out"
        ) from error


def check_settings(path: Path, checkpoint: Checkpoint, settings: Mapping[str, Any], data: str) -> None:
    """See that a run goes on with what it was begun with.

    Raises:
        ArgumentError: it does not; names what has changed.
    """
    # A field that is younger than the checkpoint had its default.
    begun, asked = _flat(_DEFAULTS) | _flat(checkpoint.settings), _flat(json.loads(json.dumps(settings)))
    names = [name for name in sorted(begun.keys() | asked.keys()) if begun.get(name) != asked.get(name)]
    names = [name for name in names if not name.startswith(_FREE)]
    if names:
        what = "another architecture" if any(n.startswith(_ARCHITECTURE) for n in names) else "other settings"
        changes = ", ".join(f"{name} {begun.get(name)!r} -> {asked.get(name)!r}" for name in names)
        raise ArgumentError(f"{path} was made with {what} ({changes}); keep them, or choose another --out")
    if checkpoint.data != data:
        raise ArgumentError(f"{path} was made with other data than lies beside it; choose another --out")


def _flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the fields by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in tables.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
