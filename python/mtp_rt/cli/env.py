"""`mtp-rt env`: what to paste into an issue."""

from __future__ import annotations

import platform
from typing import Any

from mtp_rt.cli import options, output

app = options.new_app()

PACKAGES = ("numpy", "tokenizers", "gguf", "jinja2", "typer", "rich", "huggingface_hub", "onnxruntime")


@app.command(epilog=options.examples("mtp-rt env", "mtp-rt env --json"))
def env(json_output: options.Json = False) -> None:
    """Show what to paste into an issue.

    Versions, processor, instruction sets, engines, GPUs and the cache's folder.
    """
    facts = environment()
    if json_output:
        output.write_json(facts)
        return
    pairs: list[tuple[str, object]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            pairs += [(f"{name}.{key}", "-" if item is None else item) for key, item in value.items()]
        else:
            pairs.append((name, ", ".join(map(str, value)) if isinstance(value, list) else value))
    output.write_pairs(pairs)


def environment() -> dict[str, Any]:
    """Return the facts as JSON values; a package that is not installed has version None."""
    from mtp_rt import __version__, _core, hub, machine
    from mtp_rt.engines import ENGINES

    return {
        "mtp_rt": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": machine.cpu_name(),
        "cores": machine.available_cores(),
        "isas": _core.available_isas(),
        "engines": list(ENGINES),
        "cuda": cuda(),
        "cache": str(hub.cache_root()),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def cuda() -> dict[str, Any]:
    """Return the version of the CUDA part (None: not there), the GPUs it sees, and why there is none."""
    from mtp_rt import _core
    from mtp_rt.errors import Error

    facts: dict[str, Any] = {"part": None, "gpus": [], "problem": None}
    try:
        facts["part"] = _core.cuda_part()
        facts["gpus"] = [
            {"name": name, "compute_capability": capability, "memory_bytes": memory}
            for name, capability, memory in _core.cuda_devices()
        ]
    except Error as error:
        facts["problem"] = str(error)
    return facts


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
