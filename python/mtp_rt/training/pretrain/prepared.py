"""The tokens of a run: made once from the texts, and what a resumed run goes on with.

data/train.tokens.npy       token ids, document after document (uint16, or int32 for large vocabularies)
data/train.starts.npy       where each document begins (int64)
data/validation.*.npy       likewise
data/data.json              the settings they were made with, their size and digest; written last
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.training.files import write_atomically
from mtp_rt.training.pretrain.documents import Reader, held_out
from mtp_rt.training.pretrain.packing import Packed
from mtp_rt.training.pretrain.sections import DataConfig
from mtp_rt.training.pretrain.vocabulary import Vocabulary

DATA_FILE = "data.json"
SPLITS = ("train", "validation")
_DOCUMENTS = 256  # encoded at a time


@dataclass(frozen=True)
class PreparedData:
    """Both splits, mapped from their files.

    Attributes:
        train, validation: the tokens.
        sha256: digest of all of them.
        skipped: files of folders that were left out as binary.
    """

    train: Packed
    validation: Packed
    sha256: str
    skipped: int


def prepare(
    config: DataConfig,
    vocabulary: Vocabulary,
    folder: Path,
    seed: int,
    told: Callable[[str, int, int], None] = lambda *_: None,
) -> PreparedData:
    """Read, split, encode and shuffle the texts of a config into a folder.

    Args:
        config: names the texts.
        vocabulary: encodes them.
        folder: where the files go; replaced.
        seed: of the order of the documents.
        told: called with (what, documents so far, 0).

    Raises:
        ArgumentError, UnsupportedError: what `Reader.documents` raises, or a split is empty.
        OSError: the disk is full or not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATA_FILE).unlink(missing_ok=True)
    reader = Reader(config.field, config.suffixes)
    documents: dict[str, list[NDArray[np.int32]]] = {split: [] for split in SPLITS}
    sizes = dict.fromkeys(SPLITS, 0)

    def add(split: str, texts: list[str]) -> None:
        documents[split] += vocabulary.encode(texts)
        sizes[split] += sum(len(text.encode()) for text in texts)
        told("reading documents", sum(map(len, documents.values())), 0)

    share = 0.0 if config.validation else config.validation_share
    for texts in _groups(reader.documents(config.train)):
        add("train", [text for text in texts if not held_out(text, share)])
        add("validation", [text for text in texts if held_out(text, share)])
    if config.validation:
        for texts in _groups(reader.documents(config.validation)):
            add("validation", texts)
    for split in SPLITS:
        if not documents[split]:
            raise ArgumentError(
                f"data: none of the {sum(map(len, documents.values()))} documents is for {split}; "
                "name files in data.validation, or change data.validation_share"
            )
        _store(folder, split, _shuffled(documents[split], seed), vocabulary.size)
    description = _settings(config, vocabulary) | {
        "bytes": sizes,
        "documents": {split: len(documents[split]) for split in SPLITS},
        "skipped": len(reader.skipped),
        "sha256": _digest(folder),
    }
    write_atomically(folder / DATA_FILE, [(json.dumps(description, indent=2) + "\n").encode()])
    return load(config, vocabulary, folder)


def load(config: DataConfig, vocabulary: Vocabulary, folder: Path) -> PreparedData:
    """Return what `prepare` left, if it was made with these settings.

    Raises:
        ArgumentError: it was made with other texts or another tokenizer.
        ModelFormatError: a file is missing or damaged.
    """
    path = folder / DATA_FILE
    try:
        description = json.loads(path.read_bytes())
        packed = [_packed(folder, split, description["bytes"][split]) for split in SPLITS]
    except (OSError, ValueError, KeyError) as error:
        problem = f"is missing or damaged ({error}); choose another --out"
        raise ModelFormatError(str(path), "", problem) from error
    asked = json.loads(json.dumps(_settings(config, vocabulary)))
    for name, value in asked.items():
        if description.get(name) != value:
            raise ArgumentError(
                f"{folder} was made with another {name} ({description.get(name)!r} -> {value!r}); "
                "keep it, or choose another --out"
            )
    return PreparedData(packed[0], packed[1], description["sha256"], description["skipped"])


def _settings(config: DataConfig, vocabulary: Vocabulary) -> dict[str, Any]:
    return {"tokenizer_sha256": vocabulary.sha256, "end": vocabulary.end, "data": asdict(config)}


def _groups(texts: Iterator[str]) -> Iterator[list[str]]:
    while group := list(islice(texts, _DOCUMENTS)):
        yield group


def _shuffled(documents: Sequence[NDArray[np.int32]], seed: int) -> list[NDArray[np.int32]]:
    return [documents[i] for i in np.random.default_rng(seed).permutation(len(documents))]


def _store(folder: Path, split: str, documents: Sequence[NDArray[np.int32]], vocabulary: int) -> None:
    packed = Packed.of(documents, 0)
    tokens = packed.tokens.astype(np.uint16 if vocabulary <= 1 << 16 else np.int32)
    for name, array in (("tokens", tokens), ("starts", packed.starts)):
        stream = io.BytesIO()
        np.save(stream, array)
        write_atomically(folder / f"{split}.{name}.npy", [stream.getvalue()])


def _packed(folder: Path, split: str, size: int) -> Packed:
    tokens, starts = (
        np.load(folder / f"{split}.{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("tokens", "starts")
    )
    return Packed(tokens, starts, size)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for split in SPLITS:
        for name in ("tokens", "starts"):
            digest.update((folder / f"{split}.{name}.npy").read_bytes())
    return digest.hexdigest()
