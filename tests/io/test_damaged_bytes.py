"""Cut, flipped and mutated files. The oracle is agreement: what one reader refuses, so does the other.

Both readers were written from docs/model_dir.md and share no code below Python's exception classes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutations import MutableText
from tiny_dirs import CONFIG, HEADS, tiny_draft, with_heads

from mtp_rt import _core_testing
from mtp_rt.errors import Error, ModelFormatError
from mtp_rt.model_dir import parse_model_config, read_model_dir
from mtp_rt.model_dir.safetensors import LENGTH_BYTES, header_length, parse_header


def outcome(read: Callable[[], Any]) -> tuple[str, Any]:
    """What a reader does: ("opens", value) or (error class, "")."""
    try:
        return "opens", read()
    except Error as error:
        return type(error).__name__, ""


def python_table(file: bytes) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    length = header_length(file[:LENGTH_BYTES], len(file))
    tensors = parse_header(file[LENGTH_BYTES : LENGTH_BYTES + length], len(file))
    return {name: (tensor.dtype, tensor.shape, tensor.begin, tensor.end) for name, tensor in tensors.items()}


def python_config(text: bytes) -> dict[str, Any]:
    config = dataclasses.asdict(parse_model_config(text))
    if config["extra_heads"] is not None:
        del config["extra_heads"]["quantization"]
    return config | {"eos": list(config["eos"])}


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_no_truncated_file_opens(file: str, tmp_path: Path) -> None:
    folder = tiny_draft().write(tmp_path / "model")
    size = (folder / file).stat().st_size
    lengths = sorted({*range(min(size, 400)), *(size * i // 600 for i in range(600)), size - 1}, reverse=True)
    for length in lengths:
        os.truncate(folder / file, length)
        for read in (lambda: _core_testing.ModelDir.open(str(folder)), lambda: read_model_dir(folder)):
            with pytest.raises(ModelFormatError) as caught:
                read()
            assert caught.value.file == file, length


def test_flipped_weight_bits_open_or_are_refused_alike(tmp_path: Path) -> None:
    draft = tiny_draft()
    folder = draft.write(tmp_path / "model")
    generator = random.Random(5)
    seen = {"opens": 0, "ModelFormatError": 0}
    with (folder / "model.safetensors").open("r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        for _ in range(1000):
            at = generator.randrange(size - len(draft.data), size)
            good = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([good[0] ^ generator.randrange(1, 256)]), at)
            native = outcome(lambda: _core_testing.ModelDir.open(str(folder)) and None)
            assert native == outcome(lambda: read_model_dir(folder) and None)
            seen[native[0]] += 1
            os.pwrite(file.fileno(), good, at)
    assert seen["opens"] > 800
    assert seen["ModelFormatError"] > 0


def test_readers_agree_on_2000_mutated_headers() -> None:
    draft = tiny_draft()
    mutable = MutableText(json.dumps(draft.header), seed=7)
    opened = 0
    for _ in range(2000):
        draft.header_text = mutable.next()
        file = draft.file()
        native = outcome(lambda file=file: _core_testing.parse_safetensors(file))
        assert native == outcome(lambda file=file: python_table(file)), draft.header_text
        opened += native[0] == "opens"
    assert 20 < opened < 1900


@pytest.mark.parametrize("config", [CONFIG, with_heads(HEADS)], ids=["plain", "heads"])
def test_readers_agree_on_2000_mutated_configs(config: dict[str, Any]) -> None:
    mutable = MutableText(json.dumps(config), seed=11)
    seen = {"opens": 0, "ModelFormatError": 0, "UnsupportedError": 0}
    for _ in range(2000):
        text = mutable.next()
        kind, native = outcome(lambda text=text: _core_testing.parse_model_config(text))
        other, ours = outcome(lambda text=text: python_config(text))
        assert kind == other, text
        if kind == "opens":
            singles = {
                key: pytest.approx(native.pop(key), rel=1e-7) for key in ("rms_norm_eps", "two_stage_margin")
            }
            acceptances = [(config["extra_heads"] or {}).pop("acceptance", None) for config in (ours, native)]
            assert acceptances[0] == (acceptances[1] and pytest.approx(acceptances[1], rel=1e-7)), text
            assert ours == ours | native | singles, text
        seen[kind] += 1
    assert min(seen.values()) > 5, seen


def test_a_file_that_grew_or_shrank_since_it_was_written(tmp_path: Path) -> None:
    folder = tiny_draft().write(tmp_path / "model")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    with (copy / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert outcome(lambda: read_model_dir(copy)) == ("ModelFormatError", "")
    assert outcome(lambda: _core_testing.ModelDir.open(str(copy))) == ("ModelFormatError", "")
