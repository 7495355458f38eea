"""The Tokenizer class. Oracles: decoding all ids at once; for streams, Python's incremental UTF-8 decoder."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf_files import SPECIALS, metadata, write_gguf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtp_rt.convert.gguf_import import import_gguf
from mtp_rt.errors import ArgumentError, ModelFormatError, UnsupportedError
from mtp_rt.tokenizer import Tokenizer

BYTE_IDS = st.lists(st.integers(0, len(metadata()["tokenizer.ggml.tokens"]) - 1), max_size=60)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Byte-level tokenizer that adds a start token; every byte is a token, so ids can spell broken UTF-8."""
    folder = tmp_path_factory.mktemp("tokenizer")
    source = write_gguf(folder / "in.gguf", metadata() | {"tokenizer.ggml.add_bos_token": True})
    import_gguf(source, folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def tokenizer(model_dir: Path) -> Tokenizer:
    return Tokenizer.load(model_dir)


@pytest.fixture
def changed(model_dir: Path, tmp_path: Path) -> Callable[[str, bytes | None], Path]:
    """Return a function that copies the model directory with one file replaced (or left out)."""

    def change(name: str, content: bytes | None) -> Path:
        for path in model_dir.iterdir():
            if path.name not in {name, "model.safetensors"}:
                (tmp_path / path.name).write_bytes(path.read_bytes())
        if content is not None:
            (tmp_path / name).write_bytes(content)
        return tmp_path

    return change


def streamed(tokenizer: Tokenizer, ids: list[int]) -> tuple[list[str], str]:
    stream = tokenizer.stream()
    return [stream.push(token) for token in ids], stream.finish()


@given(st.text(max_size=80))
def test_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text), skip_special=False) == SPECIALS[1] + text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BYTE_IDS)
def test_stream_is_decode_in_pieces(tokenizer: Tokenizer, ids: list[int]) -> None:
    """Any ids, broken UTF-8 included: the pieces add up to the text of all ids at once."""
    pieces, rest = streamed(tokenizer, ids)
    assert "".join(pieces) + rest == tokenizer.decode(ids)


@given(st.text(min_size=1, max_size=30))
def test_stream_shows_whole_characters_as_soon_as_they_are_whole(tokenizer: Tokenizer, text: str) -> None:
    """Oracle: Python's incremental UTF-8 decoder, fed byte by byte (one token per byte here)."""
    raw = text.replace("\ufffd", "?").encode()
    byte_of = byte_tokens()
    decoder = codecs.getincrementaldecoder("utf-8")()
    expected = [decoder.decode(bytes([byte])) for byte in raw]
    pieces, rest = streamed(tokenizer, [byte_of[byte] for byte in raw])
    assert (pieces, rest) == (expected, "")


def byte_tokens() -> dict[int, int]:
    """Byte -> id of its token in GPT-2's spelling: printable bytes as they are, others from 256 on."""
    tokens = {token: index for index, token in enumerate(metadata()["tokenizer.ggml.tokens"])}
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shifted = [byte for byte in range(256) if byte not in visible]
    spelling = {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(shifted)}
    return {byte: tokens[character] for byte, character in spelling.items()}


def test_special_tokens_in_text_and_streams(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(f"the{SPECIALS[0]}the", add_special=False)
    assert ids[1] == 0
    assert streamed(tokenizer, ids) == (["the", "", "the"], "")
    stream = tokenizer.stream(skip_special=False)
    assert [stream.push(token) for token in ids] == ["the", SPECIALS[0], "the"]
    assert tokenizer.token_text(0) == SPECIALS[0]


def test_chat_has_one_start_token(changed: Callable[[str, bytes | None], Path]) -> None:
    """The template writes the start token itself; encode_chat must not add another."""
    template = b"{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    tokenizer = Tokenizer.load(changed("chat_template.jinja", template))
    messages = [{"role": "user", "content": "the"}]
    assert tokenizer.render_chat(messages) == f"{SPECIALS[1]}the{SPECIALS[0]}"
    assert tokenizer.encode_chat(messages) == [1, *tokenizer.encode("the", add_special=False), 0]
    assert tokenizer.encode("the")[0] == 1


def test_model_without_tokenizer_or_template(changed: Callable[[str, bytes | None], Path]) -> None:
    folder = changed("chat_template.jinja", None)
    tokenizer = Tokenizer.load(folder)
    assert not tokenizer.has_chat_template
    with pytest.raises(UnsupportedError, match="no chat template"):
        tokenizer.render_chat([{"role": "user", "content": "x"}])
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedError, match="token ids only"):
        Tokenizer.load(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"model": 3}', b"\xff\xfe", b"{" * 10_000])
def test_damaged_tokenizer_is_named(changed: Callable[[str, bytes | None], Path], content: bytes) -> None:
    with pytest.raises(ModelFormatError) as caught:
        Tokenizer.load(changed("tokenizer.json", content))
    assert caught.value.file.endswith("tokenizer.json")


def test_arguments_that_are_no_text_or_ids(tokenizer: Tokenizer) -> None:
    with pytest.raises(ArgumentError, match="lone surrogate"):
        tokenizer.encode("a\ud800b")
    with pytest.raises(ArgumentError, match="must be a string, not int"):
        tokenizer.encode(3)  # type: ignore[arg-type]
    for ids in ([-1], [2**32], ["a"], [1.5]):
        with pytest.raises(ArgumentError, match="ids"):
            tokenizer.decode(ids)  # type: ignore[arg-type]


def test_padding_rows_of_the_vocabulary_have_no_text(tokenizer: Tokenizer) -> None:
    the = tokenizer.encode("the", add_special=False)[0]
    assert tokenizer.decode([the, 10**6, the]) == "thethe"
    assert streamed(tokenizer, [the, 10**6, the]) == (["the", "", "the"], "")


def test_padding_and_truncation_of_the_file_are_off(
    model_dir: Path, changed: Callable[[str, bytes | None], Path]
) -> None:
    """Such settings serve training; a prompt cut to 4 tokens without a word would be a lie."""
    content = json.loads((model_dir / "tokenizer.json").read_text())
    content["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    tokenizer = Tokenizer.load(changed("tokenizer.json", json.dumps(content).encode()))
    assert len(tokenizer.encode("a b c d e f g h")) == 16
