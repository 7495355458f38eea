"""The folder of one `mtp-rt distill` run: what was asked for, and who may write into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.model_dir import parse_model_config
from mtp_rt.training.files import exclusive, write_atomically

RUN_FILE = "run.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ModelIdentity:
    """What makes a model the one that a run began with.

    Attributes:
        name: The model's name, for people.
        sha256: Of the file it was made from where config.json says so, else of model.safetensors.
        tokenizer_sha256: Of tokenizer.json; "" without one.
    """

    name: str
    sha256: str
    tokenizer_sha256: str

    @classmethod
    def of(cls, model_dir: Path) -> ModelIdentity:
        """Return the identity of the model in `model_dir`."""
        source = parse_model_config((model_dir / "config.json").read_bytes()).source
        tokenizer = model_dir / "tokenizer.json"
        return cls(
            str(source.get("name") or model_dir.name),
            str(source.get("sha256") or _sha256(model_dir / "model.safetensors")),
            _sha256(tokenizer) if tokenizer.is_file() else "",
        )


class RunFolder:
    """A run's folder, made where there is none.

    Attributes:
        path: The folder.
        model: Whose run it is.
    """

    def __init__(self, path: str | Path, model: ModelIdentity) -> None:
        """Open or make the folder.

        Raises:
            ArgumentError: the folder holds something else, or the run of another model.
            ModelFormatError: run.json is damaged.
            OSError: the folder cannot be made or written.
        """
        self.path = Path(path)
        self.model = model
        if self.path.exists() and not self.path.is_dir():
            raise ArgumentError(f"{self.path} is not a folder; choose another name for the run")
        self.path.mkdir(parents=True, exist_ok=True)
        with exclusive(self.path / ".run.lock"):
            if not (self.path / RUN_FILE).exists():
                self._begin()
            self._check_model(self._read())

    @property
    def text_file(self) -> Path:
        """The dialogues, a JSON line each."""
        return self.path / "text" / "dialogues.jsonl"

    @property
    def dropped_file(self) -> Path:
        """The indices of dialogues that were not kept, and why, a JSON line each."""
        return self.path / "dropped.jsonl"

    @property
    def states_dir(self) -> Path:
        """The shards of recorded states."""
        return self.path / "states"

    def claim(self, stage: str, settings: Mapping[str, Any]) -> None:
        """Store what a stage's results depend on, or check that it is what they were begun with.

        Args:
            stage: "write", "record", "fit".
            settings: JSON values by name.

        Raises:
            ArgumentError: the stage was begun with other settings; names them.
        """
        asked = json.loads(json.dumps(dict(settings), allow_nan=False))
        with exclusive(self.path / ".run.lock"):
            document = self._read()
            begun = document["stages"].setdefault(stage, asked)
            if begun != asked:
                names = sorted(
                    name for name in begun.keys() | asked.keys() if begun.get(name) != asked.get(name)
                )
                changes = ", ".join(f"{name} {begun.get(name)!r} -> {asked.get(name)!r}" for name in names)
                raise ArgumentError(
                    f"{self.path}: its {stage} stage was begun with other settings ({changes}); "
                    "keep them, or choose another folder"
                )
            self._store(document)

    def settings(self, stage: str) -> dict[str, Any] | None:
        """Return what `stage` was begun with, or None if it was not."""
        found = self._read()["stages"].get(stage)
        return dict(found) if found is not None else None

    @contextmanager
    def working(self, stage: str) -> Iterator[None]:
        """Be the only process that works on `stage` of this run.

        Raises:
            ArgumentError: another one does.
        """
        busy = f"another process works on the {stage} stage of {self.path}"
        with exclusive(self.path / f".{stage}.lock", busy):
            yield

    def _begin(self) -> None:
        if any(entry for entry in self.path.iterdir() if not entry.name.startswith(".")):
            raise ArgumentError(f"{self.path} is not empty and holds no run; choose another folder")
        self._store({"format_version": FORMAT_VERSION, "model": asdict(self.model), "stages": {}})

    def _check_model(self, document: Mapping[str, Any]) -> None:
        known = document["model"]
        ours = asdict(self.model)
        for field in ("sha256", "tokenizer_sha256"):
            if known.get(field) != ours[field]:
                raise ArgumentError(
                    f"{self.path} is the run of another model: {known.get('name')!r} with {field} "
                    f"{str(known.get(field))[:12]}..., not {ours['name']!r} with {ours[field][:12]}...; "
                    "choose another folder"
                )

    def _read(self) -> dict[str, Any]:
        path = self.path / RUN_FILE
        try:
            document = json.loads(path.read_bytes())
        except ValueError as error:
            raise ModelFormatError(str(path), "", f"is not JSON: {error}; choose another folder") from error
        if (
            not isinstance(document, dict)
            or document.get("format_version") != FORMAT_VERSION
            or not isinstance(document.get("model"), dict)
            or not isinstance(document.get("stages"), dict)
        ):
            problem = f"is not the description of a run of format {FORMAT_VERSION}; choose another folder"
            raise ModelFormatError(str(path), "", problem)
        return document

    def _store(self, document: Mapping[str, Any]) -> None:
        text = json.dumps(document, indent=2) + "\n"
        write_atomically(self.path / RUN_FILE, [text.encode()])


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
