"""Documents from text files, JSON lines, parquet files, folders and named data sets."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.training.pretrain.named_dataset import PREFIX, named_dataset
from mtp_rt.training.pretrain.text_column import texts

_JSON_LINES = {".jsonl", ".ndjson"}


@dataclasses.dataclass
class Reader:
    """Reads documents and keeps count of what it leaves out.

    Attributes:
        field: of JSON lines and parquet rows that holds the text.
        suffixes: of the files taken from folders; empty: of all that hold text.
        skipped: files of folders that hold no text.
    """

    field: str = "text"
    suffixes: tuple[str, ...] = ()
    skipped: list[Path] = dataclasses.field(default_factory=list)

    def documents(self, sources: Sequence[str]) -> Iterator[str]:
        """Give every document that is not empty: a text file is one, a line of JSON lines too.

        Raises:
            ArgumentError: a file is missing, holds no text or no such field, or there is no document at all.
            UnsupportedError: a parquet file or a named data set, without the library that reads it.
        """
        found = False
        for source in sources:
            for text in self._source(source):
                if text.strip():
                    found = True
                    yield text
        if not found:
            raise ArgumentError(f"data: {', '.join(sources)}: no text in there{self._skipped_note()}")

    def _source(self, source: str) -> Iterator[str]:
        if source.startswith(PREFIX):
            return named_dataset(source, self.field)
        path = Path(source)
        return self._folder(path) if path.is_dir() else self._file(path)

    def _folder(self, folder: Path) -> Iterator[str]:
        for path in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if hidden or not path.is_file() or (self.suffixes and path.suffix not in self.suffixes):
                continue
            if path.suffix in _JSON_LINES or path.suffix == ".parquet":
                yield from self._file(path)
            elif (text := _text_of(path)) is not None:
                yield text
            else:
                self.skipped.append(path)

    def _file(self, path: Path) -> Iterator[str]:
        if not path.exists():
            raise ArgumentError(f"data: {path}: no such file or folder")
        if path.suffix == ".parquet":
            yield from self._parquet(path)
        elif (text := _text_of(path)) is None:
            raise ArgumentError(f"data: {path}: is binary or not UTF-8; give text, or a folder to pick from")
        elif path.suffix in _JSON_LINES:
            yield from self._json_lines(path, text)
        else:
            yield text

    def _json_lines(self, path: Path, text: str) -> Iterator[str]:
        for number, line in enumerate(text.split("\n"), 1):  # a text may hold other ends of lines
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ArgumentError(f"data: {path}: line {number}: is not JSON: {error}") from error
            value = row.get(self.field) if isinstance(row, dict) else None
            if not isinstance(value, str):
                raise ArgumentError(
                    f"data: {path}: line {number}: has no text in {self.field!r}; set data.field"
                )
            yield value.encode("utf-8", "replace").decode()  # JSON can spell what is no character

    def _parquet(self, path: Path) -> Iterator[str]:
        if importlib.util.find_spec("pyarrow") is None:
            raise UnsupportedError(
                f"{path}: parquet files need pyarrow, which is not here: pip install pyarrow"
            )
        import pyarrow.parquet

        try:
            file = pyarrow.parquet.ParquetFile(path)
        except pyarrow.ArrowException as error:
            raise ArgumentError(f"data: {path}: is not a parquet file: {error}") from error
        if self.field not in file.schema_arrow.names:
            raise ArgumentError(
                f"data: {path}: has no column {self.field!r} but {', '.join(file.schema_arrow.names)}; "
                "name it in data.field"
            )
        batches = file.iter_batches(columns=[self.field])
        values = (value for batch in batches for value in batch.column(0).to_pylist())
        yield from texts(values, str(path), self.field)

    def _skipped_note(self) -> str:
        return f" ({len(self.skipped)} binary files left out)" if self.skipped else ""


def held_out(text: str, share: float) -> bool:
    """Return whether a document belongs to the validation text: by its own hash, so wherever it is found."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _text_of(path: Path) -> str | None:
    """Return a file's text; None if it is binary."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArgumentError(f"data: {path}: cannot be read: {error.strerror}") from error
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
