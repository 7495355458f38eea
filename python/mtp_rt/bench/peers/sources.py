"""Where a peer's form of a model comes from and is kept."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from mtp_rt import hub
from mtp_rt.errors import UnsupportedError
from mtp_rt.hub.fetch import fetch_model_file

GGUF_NAME = "model.gguf"


def converted(peer: str, model: str, options: dict[str, object], convert: Callable[[Path], None]) -> Path:
    """Return the cached folder that `convert` fills, once per model, peer version and options.

    Args:
        peer: Name of the folder in the cache.
        model: Model directory.
        options: Everything else that the conversion depends on.
        convert: Fills the new folder that it is given.
    """
    key = {
        "config": hashlib.sha256((Path(model) / "config.json").read_bytes()).hexdigest(),
        "weight_file_bytes": (Path(model) / "model.safetensors").stat().st_size,
        **options,
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    target = hub.cache_root() / "peers" / peer / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".converting-"))
    try:
        convert(temporary)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def gguf_file(model: str) -> Path:
    """Return the GGUF file that a model directory was imported from, fetched once and cached.

    Raises:
        UnsupportedError: the directory does not come from a file that we know where to fetch.
        DownloadError: the file could not be fetched.
    """
    config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    sha256 = (config["mtp_rt"].get("source") or {}).get("sha256")
    known = next((known for known in hub.known_models() if known.sha256 == sha256), None)
    if known is None:
        names = ", ".join(known.name for known in hub.known_models())
        raise UnsupportedError(
            f"{model}: llama.cpp needs the GGUF file that the model was imported from, and it is none of the "
            f"known models ({names}): compare with another peer"
        )

    def fetch(folder: Path) -> None:
        fetch_model_file(known, folder, None).rename(folder / GGUF_NAME)

    return converted("llama.cpp", model, {"sha256": known.sha256}, fetch) / GGUF_NAME
