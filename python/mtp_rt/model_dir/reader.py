"""Opening a model directory and looking into it."""

from __future__ import annotations

import dataclasses
import errno
import mmap
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir.config import CONFIG_FILE, MAX_CONFIG_BYTES, ModelConfig, parse_model_config
from mtp_rt.model_dir.layout import Kind, check_layout, layout_of, output_matrix
from mtp_rt.model_dir.safetensors import (
    LENGTH_BYTES,
    WEIGHTS_FILE,
    StoredTensor,
    header_length,
    parse_header,
)


@dataclass(frozen=True, eq=False)
class ModelDir:
    """A model directory, opened, mapped and validated once.

    Attributes:
        path: the directory.
        config: what config.json says.
        tensors: where every stored tensor lies, sorted by name.
        kinds: how each weight matrix is stored, by the matrix's name.
    """

    path: Path
    config: ModelConfig
    tensors: Mapping[str, StoredTensor] = field(repr=False)
    kinds: Mapping[str, Kind] = field(repr=False)
    _data: memoryview = field(repr=False)

    def tensor(self, name: str) -> memoryview:
        """Return the raw bytes of a stored tensor: a read-only view of the mapped file.

        `numpy.frombuffer(view, dtype)` reads it without a copy; dtype and shape are in `tensors[name]`.
        """
        if name not in self.tensors:
            raise ModelFormatError(WEIGHTS_FILE, name, "is missing")
        return self._data[self.tensors[name].begin : self.tensors[name].end]

    def weight_kind(self, name: str) -> Kind:
        """Return how matrix `name` is stored: f32, bf16, q8 or q4."""
        if name not in self.kinds:
            raise ModelFormatError(WEIGHTS_FILE, name, "is not a weight matrix of this model")
        return self.kinds[name]

    @property
    def file_bytes(self) -> int:
        """Bytes of model.safetensors."""
        return len(self._data)


def read_model_dir(path: str | os.PathLike[str]) -> ModelDir:
    """Open the model directory `path`, map its weights and check everything docs/model_dir.md demands.

    Raises:
        ModelFormatError: a file is missing, damaged or not what its header says.
        UnsupportedError: an architecture or feature that no engine has.
    """
    path = Path(path)
    if not os.path.isdir(path):  # noqa: PTH112 - is_dir() raises where the parent is not readable
        problem = (
            "is not a directory; a model is a directory with config.json and model.safetensors "
            "(docs/model_dir.md)"
        )
        raise ModelFormatError(str(path), "", problem)
    config = parse_model_config(_read_text(path / CONFIG_FILE))
    data = _map(path / WEIGHTS_FILE)
    length = header_length(bytes(data[:LENGTH_BYTES]), len(data))
    tensors = parse_header(bytes(data[LENGTH_BYTES : LENGTH_BYTES + length]), len(data))
    kinds = check_layout(tensors, data, layout_of(config))
    output = output_matrix(config)
    if config.two_stage_margin is not None and kinds[output] != "q8":
        problem = f"needs a q8 output matrix, and {output} is stored otherwise; set it to null"
        raise ModelFormatError(CONFIG_FILE, "mtp_rt.two_stage_head", problem)
    return ModelDir(path, config, tensors, kinds, data)


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `mtp-rt inspect` shows of a model directory, ready for JSON.

    Keys: path, architecture, sizes {hidden_size, intermediate_size, layers, heads, kv_heads, head_dim,
    vocab_size, context}, tied_embedding, rope_layout, rope_theta, parameters (count; a tied embedding counts
    once), quantization {matrix kind such as "self_attn.q_proj": {storage kind: matrices}}, weight_bytes (of
    the tensors), file_bytes, two_stage_head (null or {margin}), extra_heads (null or their fields of
    config.json and weight_bytes, part of those above), bos, eos, source, tokenizer, chat_template (whether
    present).
    """
    model = read_model_dir(path)
    config = model.config
    layout = layout_of(config)
    quantization: dict[str, dict[str, int]] = {}
    for name, kind in model.kinds.items():
        counts = quantization.setdefault(_matrix_kind(name), {})
        counts[kind] = counts.get(kind, 0) + 1
    sizes = (
        "hidden_size",
        "intermediate_size",
        "layers",
        "heads",
        "kv_heads",
        "head_dim",
        "vocab_size",
        "context",
    )
    return {
        "path": str(model.path),
        "architecture": config.architecture,
        "sizes": {name: getattr(config, name) for name in sizes},
        "tied_embedding": config.tied_embedding,
        "rope_layout": config.rope_layout,
        "rope_theta": config.rope_theta,
        "parameters": sum(rows * cols for rows, cols in layout.matrices.values())
        + sum(layout.vectors.values()),
        "quantization": quantization,
        "weight_bytes": sum(tensor.end - tensor.begin for tensor in model.tensors.values()),
        "file_bytes": model.file_bytes,
        "two_stage_head": None if config.two_stage_margin is None else {"margin": config.two_stage_margin},
        "extra_heads": _describe_heads(model),
        "bos": config.bos,
        "eos": list(config.eos),
        "source": dict(config.source),
        "tokenizer": (model.path / "tokenizer.json").is_file(),
        "chat_template": (model.path / "chat_template.jinja").is_file(),
    }


def _describe_heads(model: ModelDir) -> dict[str, Any] | None:
    if model.config.extra_heads is None:
        return None
    stored = (tensor for name, tensor in model.tensors.items() if name.startswith("heads."))
    facts = dataclasses.asdict(model.config.extra_heads)
    facts = {key: list(value) if isinstance(value, tuple) else value for key, value in facts.items()}
    return facts | {"weight_bytes": sum(tensor.end - tensor.begin for tensor in stored)}


def _matrix_kind(name: str) -> str:
    """Return a matrix's name without its number.

    model.layers.3.mlp.up_proj.weight -> mlp.up_proj, heads.0.linear.weight -> heads.linear.
    """
    words = name.removesuffix(".weight").removeprefix("model.").split(".")
    if words[0] == "heads" and words[1].isdigit():
        words[1:2] = []
    return ".".join(words[2:] if words[0] == "layers" else words)


def _open_regular(path: Path) -> tuple[int, int]:
    """Return descriptor and size of a regular file; never waits for a named pipe's writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        problem = (
            f"cannot be opened in {path.parent} ({error.strerror}); a model directory holds config.json and "
            "model.safetensors as readable files"
        )
        raise ModelFormatError(path.name, "", problem) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ModelFormatError(path.name, "", f"is {_kind(status.st_mode)}; expected a regular file")
    return descriptor, status.st_size


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return name
    return "a device"


def _read_text(path: Path) -> bytes:
    descriptor, size = _open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        if size > MAX_CONFIG_BYTES:
            problem = f"holds {size} bytes; at most {MAX_CONFIG_BYTES} are allowed"
            raise ModelFormatError(path.name, "", problem)
        return file.read(size)


def _map(path: Path) -> memoryview:
    """Return the bytes of a regular file, mapped; it must keep its size while mapped."""
    descriptor, size = _open_regular(path)
    try:
        if size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
    except OSError as error:
        problem = f"cannot be mapped ({os.strerror(error.errno or errno.EIO)})"
        raise ModelFormatError(path.name, "", problem) from None
    finally:
        os.close(descriptor)
