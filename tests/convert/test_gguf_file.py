"""Damaged, foreign and unsupported GGUF files: each is one clear error that names file and field.

Oracle of the good case: the gguf package's own reader.
"""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf_files import metadata, patched, random_tensors, write_gguf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtp_rt.convert.gguf_file import GgufFile
from mtp_rt.convert.gguf_import import import_gguf
from mtp_rt.errors import Error, ModelFormatError, UnsupportedError

HUGE = 1 << 62


def test_header_is_what_the_gguf_package_reads(tiny_gguf: Path) -> None:
    theirs = gguf.GGUFReader(tiny_gguf)
    with GgufFile(tiny_gguf) as file:
        assert list(file.tensors) == [tensor.name for tensor in theirs.tensors]
        for tensor in theirs.tensors:
            ours = file.tensors[tensor.name]
            assert ours.shape == tuple(reversed(tensor.shape.tolist()))
            assert (ours.offset, ours.nbytes) == (tensor.data_offset, tensor.n_bytes)
            assert ours.type_name == tensor.tensor_type.name
            np.testing.assert_array_equal(file.data(ours), tensor.data.reshape(-1).view(np.uint8))
        fields = {
            key: field.contents() for key, field in theirs.fields.items() if not key.startswith("GGUF.")
        }
        ours_plain = {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in file.metadata.items()
        }
        assert ours_plain == fields


def behind(data: bytes, text: str) -> int:
    """Offset just behind a length-prefixed string that occurs once; of the file's start for ""."""
    if not text:
        return 0
    needle = struct.pack("<Q", len(text)) + text.encode()
    assert data.count(needle) == 1
    return data.index(needle) + len(needle)


Q, NORM, TOKENS = "blk.0.attn_q.weight", "output_norm.weight", "tokenizer.ggml.tokens"
NAME = "general.name"
# name -> (behind which string, bytes further on, struct format, value, the error's field, words of its text)
HEADER_FAULTS: dict[str, tuple[str, int, str, int, str, str]] = {
    "magic": ("", 0, "I", 0x46554748, "magic", "no GGUF file"),
    "tensor count": ("", 8, "Q", HUGE, "tensor count", "more than the file can hold"),
    "metadata count": ("", 16, "Q", HUGE, "metadata count", "more than the file can hold"),
    "one metadata entry too many": ("", 16, "Q", len(metadata()) + 1, "", ""),
    "one tensor too many": ("", 8, "Q", 21, "", ""),
    "key length": ("", 24, "Q", HUGE, "metadata key 0", "at most 65535"),
    "value type": (NAME, 0, "I", 77, NAME, "value type 77"),
    "string length": (NAME, 4, "Q", HUGE, NAME, "claims a string"),
    "array length": (TOKENS, 8, "Q", HUGE, TOKENS, "more than the file can hold"),
    "name length": (Q, -27, "Q", 999, "tensor name", "at most 256"),
    "dimensions": (Q, 0, "I", 9, Q, "9 dimensions"),
    "no dimensions": (Q, 0, "I", 0, Q, "0 dimensions"),
    "zero extent": (Q, 4, "Q", 0, Q, "elements"),
    "huge extent": (Q, 4, "Q", HUGE, Q, "elements"),
    "huge offset": (Q, 24, "Q", HUGE, Q, "truncated"),
    "odd offset": (Q, 24, "Q", 4, Q, "not a multiple of the alignment"),
    "overlap": (Q, 24, "Q", 0, "", "overlaps"),
    "wrapping offset": (NORM, 16, "Q", 2**64 - 32, NORM, "truncated"),
}


@pytest.mark.parametrize("fault", HEADER_FAULTS)
def test_a_wrong_number_in_the_header_is_named(tiny_gguf: Path, tmp_path: Path, fault: str) -> None:
    anchor, offset, form, value, field, words = HEADER_FAULTS[fault]
    at = behind(tiny_gguf.read_bytes(), anchor) + offset
    path = patched(tiny_gguf, tmp_path / "bad.gguf", at, form, value)
    with pytest.raises(ModelFormatError) as caught:
        GgufFile(path)
    assert caught.value.file == str(path)
    assert field in caught.value.field
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("version", "words"),
    [(1, "GGUF version 1 is not supported"), (4, "GGUF version 4 is"), (3 << 24, "big-endian GGUF is not")],
)
def test_other_versions_are_named(tiny_gguf: Path, tmp_path: Path, version: int, words: str) -> None:
    path = patched(tiny_gguf, tmp_path / "bad.gguf", 4, "I", version)
    with pytest.raises(UnsupportedError, match=words):
        GgufFile(path)


def test_unknown_tensor_type_is_named(tiny_gguf: Path, tmp_path: Path) -> None:
    at = behind(tiny_gguf.read_bytes(), Q) + 20
    path = patched(tiny_gguf, tmp_path / "bad.gguf", at, "I", 999)
    with pytest.raises(UnsupportedError, match=r"blk\.0\.attn_q\.weight: .* type 999"):
        GgufFile(path)


def test_every_truncation_is_an_error(tiny_gguf: Path, tmp_path: Path) -> None:
    """Cut at 200 places, header and data: never a success, never a foreign exception."""
    data = tiny_gguf.read_bytes()
    path = tmp_path / "cut.gguf"
    for size in np.linspace(0, len(data) - 1, 200).astype(int).tolist():
        path.write_bytes(data[:size])
        with pytest.raises(ModelFormatError):
            import_gguf(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_damage_never_escapes_as_another_exception(tiny_gguf: Path, tmp_path: Path, data: Any) -> None:
    raw = bytearray(tiny_gguf.read_bytes())
    header = raw.index(b"blk.1.ffn_down.weight") + 64
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, header))
        raw[at : at + 1] = data.draw(st.binary(min_size=0, max_size=3))
    path = tmp_path / "bad.gguf"
    path.write_bytes(raw)
    try:
        import_gguf(path, tmp_path / "out", replace=True)
    except Error:
        return


def test_a_small_file_never_makes_a_large_allocation(tiny_gguf: Path, tmp_path: Path) -> None:
    """Counts of 2^62 in a file of 300 KB: refused before anything of that size is made."""
    for key in (TOKENS, "tokenizer.ggml.token_type", "tokenizer.ggml.merges"):
        at = behind(tiny_gguf.read_bytes(), key) + 8
        path = patched(tiny_gguf, tmp_path / "bad.gguf", at, "Q", HUGE)
        tracemalloc.start()
        with pytest.raises(ModelFormatError, match=key):
            GgufFile(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all", b"PK\x03\x04" + b"\0" * 100])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ModelFormatError, match="x"):
        import_gguf(tmp_path / "x", tmp_path / "out")


def test_missing_file_and_directory(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.gguf", tmp_path):
        with pytest.raises(ModelFormatError, match="cannot be read"):
            import_gguf(path, tmp_path / "out")


def changed(tmp_path: Path, **changes: Any) -> Path:
    fields = metadata()
    for key, value in changes.items():
        fields[key.replace("__", ".")] = value
    return write_gguf(
        tmp_path / "in.gguf", {key: value for key, value in fields.items() if value is not None}
    )


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"general__architecture": "mamba"},
            UnsupportedError,
            "general.architecture: 'mamba'",
        ),
        ({"llama__rope__scaling__type": "yarn"}, UnsupportedError, "llama.rope.scaling.type: 'yarn'"),
        ({"llama__expert_count": 8}, UnsupportedError, "llama.expert_count: 8"),
        ({"llama__attention__sliding_window": 512}, UnsupportedError, "sliding_window: 512"),
        ({"llama__rope__dimension_count": 16}, UnsupportedError, "rope.dimension_count: 16 differs"),
        ({"llama__block_count": None}, ModelFormatError, "llama.block_count: is missing"),
        ({"llama__block_count": 3}, ModelFormatError, "blk.2.attn_norm.weight: is missing"),
        ({"llama__block_count": 1}, UnsupportedError, "blk.1.attn_k.weight: this tensor is no part"),
        ({"llama__block_count": 10**6}, ModelFormatError, "outside 1 to 1024"),
        ({"llama__block_count": "2"}, ModelFormatError, "llama.block_count: is '2', not one integer"),
        ({"llama__attention__head_count": [2, 2]}, ModelFormatError, "head_count: is array"),
        ({"llama__attention__head_count": 3}, ModelFormatError, "3 does not divide the hidden size 64"),
        ({"llama__attention__head_count": 4}, ModelFormatError, "head_dim"),
        ({"llama__embedding_length": 32}, ModelFormatError, "head_dim|shape"),
        ({"llama__feed_forward_length": 128}, ModelFormatError, "ffn_gate.weight: has shape"),
        ({"llama__vocab_size": 99}, ModelFormatError, "llama.vocab_size: is 99"),
        ({"llama__attention__layer_norm_rms_epsilon": -1.0}, ModelFormatError, "rms_epsilon: is -1.0"),
        ({"llama__rope__freq_base": float("nan")}, ModelFormatError, "freq_base: is nan"),
        ({"tokenizer__ggml__eos_token_id": 99999}, ModelFormatError, "eos_token_id: is 99999"),
    ],
)
def test_metadata_that_does_not_fit_is_named(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        import_gguf(changed(tmp_path, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tensors_outside_a_plain_llama_are_named(tmp_path: Path) -> None:
    extra = random_tensors() | {"blk.0.attn_q.bias": np.zeros(64, np.float32)}
    source = write_gguf(tmp_path / "in.gguf", tensors=extra)
    with pytest.raises(UnsupportedError, match=r"blk\.0\.attn_q\.bias: this tensor is no part"):
        import_gguf(source, tmp_path / "out")


@pytest.mark.parametrize("type_name", ["F32", "F16", "BF16", "Q8_0", "Q4_1", "Q5_0"])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, type_name: str) -> None:
    source = write_gguf(tmp_path / "in.gguf", type_of=lambda name: type_name)
    with GgufFile(source) as file:
        at = file.tensors["blk.1.ffn_up.weight"].offset
    data = bytearray(source.read_bytes())
    # The first bytes of each of these types are a float or a block's float16 scale.
    data[at : at + 4] = np.float32(np.nan).tobytes() if type_name == "F32" else b"\xff\x7f\xff\x7f"
    source.write_bytes(data)
    with pytest.raises(ModelFormatError, match=r"blk\.1\.ffn_up\.weight: holds NaN"):
        import_gguf(source, tmp_path / "out")
