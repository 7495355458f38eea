"""Heads packages: extra heads without their trunk. docs/model_dir.md says what is in the folder.

Heads fit one trunk. They travel alone and meet it in a model directory (`mtp_rt.convert.join_heads`).
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mtp_rt.convert.digest import sha256_of
from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.model_dir import (
    HeadsConfig,
    JsonFields,
    ModelDir,
    Tensor,
    read_heads,
)
from mtp_rt.model_dir.config import CONFIG_FILE, MAX_CONFIG_BYTES
from mtp_rt.model_dir.json_text import parse_json_object
from mtp_rt.model_dir.safetensors import (
    DTYPE_BYTES,
    LENGTH_BYTES,
    WEIGHTS_FILE,
    StoredTensor,
    file_start,
    header_length,
    parse_header,
)
from mtp_rt.model_dir.whole import whole_directory, write_file

HEADS_FILE = "heads.safetensors"
FORMAT_VERSION = 1

UNEMBED, IDS = "heads.unembed.weight", "heads.draft_ids"

_KEY = "mtp_rt_heads"
_MOST_LAYERS, _MOST_TOKENS = 1024, 1048576  # what any trunk may have: the package alone does not know its own


@dataclass(frozen=True)
class Base:
    """The trunk that heads were made for.

    Attributes:
        name: its name, for people.
        sha256: of the file that it was converted from, else of its model.safetensors.
        tokenizer_sha256: of its tokenizer.json; "" without one.
    """

    name: str
    sha256: str
    tokenizer_sha256: str

    @classmethod
    def of(cls, model: ModelDir) -> Base:
        """Return what identifies the trunk in a model directory, be it with heads or without."""
        source, tokenizer = model.config.source, model.path / "tokenizer.json"
        return cls(
            source.get("name") or model.path.name,
            source.get("sha256") or sha256_of(model.path / WEIGHTS_FILE),
            sha256_of(tokenizer) if tokenizer.is_file() else "",
        )


@dataclass(frozen=True, eq=False)
class HeadsPackage:
    """A heads package, opened and checked as far as it can be without its trunk.

    Attributes:
        path: the folder.
        base: the trunk it was made for.
        heads: what config.json says of the heads.
        tensors: where every stored tensor lies.
        data: of heads.safetensors.
    """

    path: Path
    base: Base
    heads: HeadsConfig
    tensors: Mapping[str, StoredTensor] = field(repr=False)
    data: memoryview = field(repr=False)

    @property
    def leaves_out_rows(self) -> bool:
        """Whether the heads score with rows of the trunk's output matrix, which the package does not hold."""
        shared = self.heads.draft_vocab_size is not None and self.heads.unembedding == "shared"
        return shared and not any(name.startswith(UNEMBED) for name in self.tensors)

    def stored(self) -> Iterator[Tensor]:
        """Give every tensor as (name, dtype, shape, bytes)."""
        for name, tensor in self.tensors.items():
            yield name, tensor.dtype, tensor.shape, self.data[tensor.begin : tensor.end]


def read_heads_package(path: str | Path) -> HeadsPackage:
    """Open a heads package.

    Raises:
        ModelFormatError: a file is missing, damaged or not what docs/model_dir.md says.
    """
    path = Path(path)
    fields = JsonFields(parse_json_object(_read_config(path), CONFIG_FILE, ""), CONFIG_FILE).object(_KEY)
    fields.allow_only(("format_version", "base", "heads"))
    if (version := fields.integer("format_version", 1, 1 << 30)) != FORMAT_VERSION:
        fields.fail("format_version", f"version {version} is newer than this mtp-rt; update it")
    base = fields.object("base")
    base.allow_only(("name", "sha256", "tokenizer_sha256"))
    heads = read_heads(fields.object("heads"), layers=_MOST_LAYERS, vocab_size=_MOST_TOKENS)
    data = _map(path / HEADS_FILE)
    length = header_length(bytes(data[:LENGTH_BYTES]), len(data), HEADS_FILE)
    tensors = parse_header(bytes(data[LENGTH_BYTES : LENGTH_BYTES + length]), len(data), HEADS_FILE)
    known = Base(base.string("name"), base.string("sha256"), base.string("tokenizer_sha256"))
    return HeadsPackage(path, known, heads, tensors, data)


def write_heads_package(
    target: str | Path,
    base: Base,
    heads: HeadsConfig,
    tensors: list[Tensor],
    extra_files: Mapping[str, bytes],
    *,
    replace: bool = False,
) -> None:
    """Write a heads package, whole or not at all.

    Args:
        target: the folder to make.
        base: the trunk that the heads are for.
        heads: their description.
        tensors: the `heads.*` tensors, as `write_model_dir` takes them.
        extra_files: model card and licence, by name.
        replace: whether a folder at `target` that is not empty may be replaced.

    Raises:
        ArgumentError: `target` exists and may not be replaced.
        ModelFormatError: description and tensors are not those of a package.
        OSError: the disk is full or not writable.
    """
    document = {_KEY: {"format_version": FORMAT_VERSION, "base": asdict(base), "heads": heads_fields(heads)}}
    with whole_directory(target, replace=replace) as folder:
        text = (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()
        for name, content in {CONFIG_FILE: text, HEADS_FILE: _encode(tensors), **extra_files}.items():
            write_file(folder / name, content)
        read_heads_package(folder)


def heads_fields(heads: HeadsConfig) -> dict[str, Any]:
    """Return the heads' JSON object; fields that say nothing are left out."""
    fields = {name: value for name, value in asdict(heads).items() if value is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def _encode(tensors: list[Tensor]) -> bytes:
    """Return a safetensors file: wide elements first, so that every tensor is aligned."""
    stored, parts, cursor = {}, [], 0
    for name, dtype, shape, buffer in sorted(tensors, key=lambda tensor: -DTYPE_BYTES[tensor[1]]):
        if not name.startswith("heads."):
            raise ArgumentError(f"tensors: {name} is not a tensor of heads")
        data = bytes(memoryview(buffer).cast("B"))
        stored[name] = StoredTensor(dtype, tuple(int(size) for size in shape), cursor, cursor + len(data))
        parts.append(data)
        cursor += len(data)
    return b"".join([file_start(stored), *parts])


def _read_config(path: Path) -> bytes:
    try:
        with (path / CONFIG_FILE).open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        problem = f"cannot be opened in {path} ({error.strerror}); a heads package holds it and {HEADS_FILE}"
        raise ModelFormatError(CONFIG_FILE, "", problem) from None
    if len(text) > MAX_CONFIG_BYTES:
        raise ModelFormatError(CONFIG_FILE, "", f"is larger than {MAX_CONFIG_BYTES} bytes")
    return text


def _map(path: Path) -> memoryview:
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        problem = f"cannot be read in {path.parent} ({error}); fetch the package again"
        raise ModelFormatError(path.name, "", problem) from None
