"""Texts in, tokens out: what becomes a document, what is refused, and tokens that are bytes."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.tokenizer import Tokenizer
from mtp_rt.training.pretrain import documents
from mtp_rt.training.pretrain.documents import Reader, held_out
from mtp_rt.training.pretrain.prepared import load, prepare
from mtp_rt.training.pretrain.sections import DataConfig
from mtp_rt.training.pretrain.vocabulary import open_vocabulary

BYTES = open_vocabulary("bytes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    (root / "sub").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "a.py").write_text("print('a')")
    (root / "sub" / "b.py").write_text("print('b')")
    (root / "c.txt").write_text("café")
    (root / ".git" / "hidden.py").write_text("no")
    (root / "picture.png").write_bytes(b"\x89PNG\0\1")
    (root / "rows.jsonl").write_text('{"text": "one"}\n\n{"text": "two", "x": 1}\n')
    (root / "empty.py").write_text(" \n")
    return root


def test_a_folder_gives_its_texts(folder: Path) -> None:
    reader = Reader()
    assert list(reader.documents([str(folder)])) == ["print('a')", "café", "one", "two", "print('b')"]
    assert [path.name for path in reader.skipped] == ["picture.png"]
    assert list(Reader(suffixes=(".py",)).documents([str(folder)])) == ["print('a')", "print('b')"]


def test_a_line_of_json_ends_with_a_newline_only(tmp_path: Path) -> None:
    """Unicode's other ends of lines may stand in a string as they are."""
    texts = ["a\u2028b", "c\u0085d", "e"]
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    (tmp_path / "rows.jsonl").write_bytes("\r\n".join(lines).encode())
    assert list(Reader().documents([str(tmp_path / "rows.jsonl")])) == texts


REFUSED = [
    ("none.txt", None, "none.txt: no such file or folder"),
    ("empty.txt", b"", "no text in there"),
    ("blank.txt", b" \n\n", "no text in there"),
    ("binary.txt", b"abc\0def", "binary.txt: is binary or not UTF-8"),
    ("latin.txt", b"caf\xe9", "latin.txt: is binary or not UTF-8"),
    ("rows.jsonl", b'{"text": "a"}\n{"text"', r"rows.jsonl: line 2: is not JSON"),
    ("rows.jsonl", b'{"body": "a"}', r"rows.jsonl: line 1: has no text in 'text'; set data.field"),
    ("rows.jsonl", b"[1]", "line 1: has no text"),
]


@pytest.mark.parametrize(("name", "content", "says"), REFUSED)
def test_what_is_no_text_is_named(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ArgumentError, match=says):
        list(Reader().documents([str(tmp_path / name)]))


def test_parquet_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(documents.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UnsupportedError, match="pip install pyarrow"):
        list(Reader().documents([str(tmp_path / "a.parquet")]))


def test_parquet_columns_are_texts(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"text": ["one", None, "two"], "n": [1, 2, 3]}), path)
    assert list(Reader().documents([str(path)])) == ["one", "two"]
    with pytest.raises(ArgumentError, match=r"has no column 'body' but text, n"):
        list(Reader("body").documents([str(path)]))
    with pytest.raises(ArgumentError, match=r"a.parquet: column 'n' holds no text but int \(row 1\)"):
        list(Reader("n").documents([str(path)]))
    parquet.write_table(arrow.table({"n": [None] * 70_000 + [3]}), path)  # more than is read at once
    with pytest.raises(ArgumentError, match=r"holds no text but int \(row 70001\)"):
        list(Reader("n").documents([str(path)]))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ArgumentError, match=r"a.parquet: is not a parquet file"):
        list(Reader().documents([str(path)]))


class Rows(list[dict[str, Any]]):
    """Stands for a data set: rows with columns."""

    column_names = ("text", "n")

    def select_columns(self, names: list[str]) -> Rows:
        return Rows({name: row[name] for name in names} for row in self)


def load_rows(name: str, config: str | None, *, split: str) -> Rows:
    """Stands for `datasets.load_dataset`: its rows say what was asked for."""
    if name == "none":
        raise FileNotFoundError("no data set none\non any hub")
    return Rows({"text": text, "n": 1} for text in (f"{name} {config} {split}", None, "two"))


ASKED = [
    ("datasets:org/name", "org/name None train"),
    ("datasets:org/name:small", "org/name small train"),
    ("datasets:org/name::train[:10%]", "org/name None train[:10%]"),
]


@pytest.mark.parametrize(("source", "asked"), ASKED)
def test_a_named_data_set_gives_its_rows(monkeypatch: pytest.MonkeyPatch, source: str, asked: str) -> None:
    fake = SimpleNamespace(load_dataset=load_rows, __spec__=ModuleSpec("datasets", None))
    monkeypatch.setitem(sys.modules, "datasets", fake)  # type: ignore[arg-type]
    assert list(Reader().documents([source])) == [asked, "two"]
    with pytest.raises(ArgumentError, match=r"has no column 'body' but text, n; name it in data.field"):
        list(Reader("body").documents([source]))
    with pytest.raises(ArgumentError, match=r"column 'n' holds no text but int \(row 1\)"):
        list(Reader("n").documents([source]))
    with pytest.raises(ArgumentError, match=r"datasets:none: cannot be loaded: no data set none$"):
        list(Reader().documents(["datasets:none"]))
    with pytest.raises(ArgumentError, match=r"expected datasets:NAME"):
        list(Reader().documents(["datasets:"]))


def test_a_named_data_set_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UnsupportedError, match="pip install datasets"):
        list(Reader().documents(["datasets:org/name"]))


def test_the_real_library_reads_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    (folder / "set").mkdir()
    (folder / "set" / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert list(Reader().documents([f"datasets:{folder / 'set'}"])) == ["one", "two"]
    with pytest.raises(ArgumentError, match="cannot be loaded"):
        list(Reader().documents([f"datasets:{folder / 'set'}::validation"]))


@given(st.text(max_size=40).filter(lambda text: "<|" not in text))
def test_byte_tokens_are_the_bytes(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Oracle: str.encode, and the tokenizer that runs the finished model."""
    (ids,) = BYTES.encode([text])
    assert ids.tolist() == [*text.encode(), 256]
    folder = tmp_path_factory.getbasetemp() / "byte_tokenizer"
    if not folder.exists():
        folder.mkdir()
        (folder / "tokenizer.json").write_text(BYTES.file)
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.encode(text) == list(text.encode())
    assert tokenizer.decode(ids.tolist()) == text


def test_a_tokenizer_file(tiny_model: Path, tmp_path: Path) -> None:
    vocabulary = open_vocabulary(str(tiny_model / "tokenizer.json"))
    tokenizer = Tokenizer.load(tiny_model)
    assert vocabulary.size == tokenizer.vocab_size
    (ids,) = vocabulary.encode(["def f(x): return x"])
    assert ids[:-1].tolist() == tokenizer.encode("def f(x): return x", add_special=False)
    assert ids[-1] == vocabulary.end
    with pytest.raises(ArgumentError, match=r"data.end_token: .* has none of <nope>"):
        open_vocabulary(str(tiny_model / "tokenizer.json"), "<nope>")
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(ArgumentError, match="is not a tokenizers file"):
        open_vocabulary(str(tmp_path / "t.json"))


def test_preparing_splits_by_the_documents_hash(tmp_path: Path) -> None:
    lines = [f"document number {i}" for i in range(60)]
    for name, order in (("a", lines), ("b", lines[::-1])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in order))
    config = DataConfig((str(tmp_path / "a.jsonl"),), validation_share=0.3)
    data = prepare(config, BYTES, tmp_path / "data", seed=0)
    kept_back = [line for line in lines if held_out(line, 0.3)]
    validation = bytes(data.validation.tokens[data.validation.tokens < 256].astype("u1")).decode()
    assert 5 < len(kept_back) < 35
    assert sorted(validation.replace("document", "\ndocument").split("\n")[1:]) == sorted(kept_back)
    assert len(data.train.starts) == 60 - len(kept_back)
    assert data.train.bytes + data.validation.bytes == sum(map(len, lines))
    assert load(config, BYTES, tmp_path / "data").sha256 == data.sha256
    other = DataConfig((str(tmp_path / "b.jsonl"),), validation_share=0.3)
    with pytest.raises(ArgumentError, match="was made with another data"):
        load(other, BYTES, tmp_path / "data")


def test_another_tokenizer_does_not_fit_prepared_data(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text")
    (tmp_path / "b.txt").write_text("other text")
    config = DataConfig((str(tmp_path / "a.txt"),), (str(tmp_path / "b.txt"),))
    prepare(config, BYTES, tmp_path / "data", seed=0)
    with pytest.raises(ArgumentError, match="another tokenizer_sha256"):
        load(config, open_vocabulary(str(tiny_model / "tokenizer.json")), tmp_path / "data")


def test_a_split_without_documents_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one document")
    with pytest.raises(ArgumentError, match=r"none of the 1 documents is for .*data.validation"):
        prepare(DataConfig((str(tmp_path / "a.txt"),)), BYTES, tmp_path / "data", seed=0)
