"""Tokenizers rebuilt from GGUF metadata. Oracle: transformers' own conversion of the same file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from gguf_files import SPECIALS, USER_DEFINED, metadata, write_gguf
from text_lines import has_numeral, text_lines

from mtp_rt.convert.gguf_file import GgufFile
from mtp_rt.convert.gguf_tokenizer import build_tokenizer
from mtp_rt.errors import ModelFormatError, UnsupportedError

REAL_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<empty_output>"]


def rebuilt(path: Path) -> tokenizers.Tokenizer:
    with GgufFile(path) as file:
        text = build_tokenizer(file)
    assert text is not None
    return tokenizers.Tokenizer.from_str(text)


def transformers_own(path: Path) -> tokenizers.Tokenizer:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name).backend_tokenizer


def ids(tokenizer: tokenizers.Tokenizer, lines: list[str], add_special: bool = False) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(lines, add_special_tokens=add_special)]


def tiny(tmp_path: Path, **changes: Any) -> Path:
    fields = metadata() | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    return write_gguf(
        tmp_path / "tiny.gguf", {key: value for key, value in fields.items() if value is not None}
    )


@pytest.fixture(scope="module")
def default_tokenizer(default_gguf: Path) -> tokenizers.Tokenizer:
    return rebuilt(default_gguf)


@pytest.mark.model
def test_default_model_has_the_ids_of_transformers(
    default_gguf: Path, default_tokenizer: tokenizers.Tokenizer
) -> None:
    """10,000 lines of every sort.

    transformers does not split numbers into digits, although the model's own tokenizer.json does (llama.cpp
    too: the next test pins its ids), so lines with numerals are compared after telling it to.
    """
    theirs = transformers_own(default_gguf)
    lines = text_lines(10_000, REAL_SPECIALS)
    ours = ids(default_tokenizer, lines)
    plain = [index for index, line in enumerate(lines) if not has_numeral(line)]
    assert 2_000 < len(plain) < 8_000
    assert [ours[index] for index in plain] == ids(theirs, [lines[index] for index in plain])

    digits = tokenizers.pre_tokenizers.Digits(individual_digits=True)
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([digits, theirs.pre_tokenizer])
    assert ours == ids(theirs, lines)


@pytest.mark.model
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 3.14159; year   1999", "104 446 216 35 30 33 36 33 37 41 43 713 333 33 41 41 41"),
        ("Ⅷ   42½", "173 223 117 333 36 34 16738"),
        ("<|im_start|>user\n 7 <|im_end|>", "1 4093 3805 39 216 2"),
    ],
)
def test_default_model_has_the_ids_of_llama_cpp(
    default_tokenizer: tokenizers.Tokenizer, text: str, expected: str
) -> None:
    """Recorded with llama-cpp-python on the same file (add_bos=False, special=True)."""
    assert ids(default_tokenizer, [text]) == [[int(token) for token in expected.split()]]


@pytest.mark.parametrize("family", ["gpt-2", "llama-bpe", "llama3", "qwen2", "tekken"])
def test_families_split_like_transformers(tmp_path: Path, family: str) -> None:
    path = tiny(tmp_path, pre=family)
    # Merges decide only where splits allow them, so equal ids on many lines mean equal splits.
    lines = text_lines(500, [*SPECIALS, USER_DEFINED], seed=1)
    ours, theirs = rebuilt(path), transformers_own(path)
    if family == "qwen2":  # the model's own file normalises to NFC; transformers' conversion leaves that out
        assert isinstance(ours.normalizer, tokenizers.normalizers.NFC)
        theirs.normalizer = tokenizers.normalizers.NFC()
    assert ids(ours, lines) == ids(theirs, lines)


@pytest.mark.parametrize("family", ["smollm", "starcoder", "refact"])
def test_digit_families_split_numbers(tmp_path: Path, family: str) -> None:
    tokenizer = rebuilt(tiny(tmp_path, pre=family))
    tokens = tokenizer.encode(" 12the   12").tokens
    assert tokens == ["Ġ", "1", "2", "the", "ĠĠ", "Ġ", "1", "2"]
    assert rebuilt(tiny(tmp_path, pre="gpt-2")).encode("12").tokens == ["12"]


def test_special_and_user_defined_tokens(tmp_path: Path) -> None:
    tokenizer = rebuilt(tiny(tmp_path))
    encoding = tokenizer.encode(f"in{SPECIALS[0]}{USER_DEFINED}the")
    assert encoding.tokens == ["in", SPECIALS[0], USER_DEFINED, "the"]
    assert tokenizer.decode(encoding.ids) == f"in{USER_DEFINED}the"
    assert tokenizer.decode(encoding.ids, skip_special_tokens=False) == f"in{SPECIALS[0]}{USER_DEFINED}the"


@pytest.mark.parametrize(
    ("changes", "wrapped"),
    [
        ({}, (0, 0)),
        ({"add_bos_token": True}, (1, 0)),
        ({"add_bos_token": True, "add_eos_token": True}, (1, 1)),
        ({"pre": "llama-bpe"}, (1, 0)),
        ({"pre": "llama-bpe", "add_bos_token": False}, (0, 0)),
    ],
)
def test_start_and_end_tokens(tmp_path: Path, changes: dict[str, Any], wrapped: tuple[int, int]) -> None:
    tokenizer = rebuilt(tiny(tmp_path, **changes))
    body = tokenizer.encode("the", add_special_tokens=False).ids
    assert tokenizer.encode("the").ids == [1] * wrapped[0] + body + [0] * wrapped[1]


def test_no_tokenizer_is_none(tmp_path: Path) -> None:
    with GgufFile(tiny(tmp_path, model=None)) as file:
        assert build_tokenizer(file) is None


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "llama"}, UnsupportedError, "tokenizer.ggml.model: 'llama'"),
        ({"pre": "whatever"}, UnsupportedError, "tokenizer.ggml.pre: 'whatever'"),
        ({"pre": None}, UnsupportedError, "tokenizer.ggml.pre: None"),
        ({"tokens": None}, ModelFormatError, "tokenizer.ggml.tokens: is missing"),
        ({"merges": ["t h", "t zz"]}, ModelFormatError, "merges: entry 1, 't zz'"),
        ({"merges": ["th"]}, ModelFormatError, "merges: entry 0, 'th'"),
        ({"token_type": [1, 2]}, ModelFormatError, "token_type: does not hold one type for each"),
        ({"add_bos_token": True, "bos_token_id": 99999}, ModelFormatError, "bos_token_id: is 99999"),
    ],
)
def test_bad_metadata_is_named(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with GgufFile(tiny(tmp_path, **changes)) as file, pytest.raises(error, match=words):
        build_tokenizer(file)


def test_twice_the_same_token_is_refused(tmp_path: Path) -> None:
    tokens = metadata()["tokenizer.ggml.tokens"]
    tokens[10] = tokens[11]
    with (
        GgufFile(tiny(tmp_path, tokens=tokens)) as file,
        pytest.raises(ModelFormatError, match="a token twice"),
    ):
        build_tokenizer(file)


def test_file_is_what_the_tokenizers_library_writes(tmp_path: Path) -> None:
    """Round trip through the library: nothing is dropped or reinterpreted."""
    path = tiny(tmp_path, pre="llama-bpe")
    with GgufFile(path) as file:
        text = build_tokenizer(file)
    assert text is not None
    again = json.loads(tokenizers.Tokenizer.from_str(text).to_str())
    mine = json.loads(text)
    for key in mine:
        if key != "model":
            assert again[key] == mine[key], key
    assert again["model"]["vocab"] == mine["model"]["vocab"]
    assert again["model"]["ignore_merges"] is True
