"""The installed TensorRT: which one, which version, and for which GPUs it builds."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mtp_rt.errors import ArgumentError, UnsupportedError

LibraryName = Literal["tensorrt_rtx", "tensorrt"]
OLDEST = {"tensorrt_rtx": (1, 2), "tensorrt": (10, 15)}  # the first with cache updates and attention in ONNX
INSTALL = {
    "tensorrt_rtx": "pip install 'mtp-rt[tensorrt]'",
    "tensorrt": "pip install tensorrt-cu13 (its libraries come from NVIDIA's index)",
}

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76  # of the driver's device attributes


@dataclass(frozen=True)
class Gpu:
    """The first GPU of this machine.

    Attributes:
        name: as the driver says.
        compute_capability: "9.0".
    """

    name: str
    compute_capability: str


@dataclass(frozen=True)
class Library:
    """An imported TensorRT.

    Attributes:
        name: its package.
        version: "1.7.1.116".
        module: the package itself.
        gpu: None where it builds for GPUs that need not be here.
    """

    name: LibraryName
    version: str
    module: Any
    gpu: Gpu | None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def open_library(wanted: str | None = None) -> Library:
    """Import TensorRT: `wanted`, or else tensorrt where it and a GPU are here, or else tensorrt_rtx.

    Raises:
        ArgumentError: `wanted` is no such library.
        UnsupportedError: it is not installed, too old, or needs a GPU that is not here.
    """
    if wanted is not None and wanted not in get_args(LibraryName):
        raise ArgumentError(f"tensorrt_library is {wanted!r}; expected {' or '.join(get_args(LibraryName))}")
    gpu = first_gpu()
    name: LibraryName = "tensorrt_rtx"
    if wanted == "tensorrt" or (wanted is None and gpu is not None and _package("tensorrt")):
        name = "tensorrt"
    module = _imported(name)
    version = str(module.__version__)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        raise UnsupportedError(f"{name} {version} is too old: plans need {oldest} or newer; {INSTALL[name]}")
    if name == "tensorrt" and gpu is None:
        raise UnsupportedError(
            "tensorrt builds for the GPU of this machine, and there is none; build with tensorrt_rtx, which "
            "needs no GPU, or on the machine that will run the plans"
        )
    return Library(name, version, module, gpu if name == "tensorrt" else None)


def first_gpu() -> Gpu | None:
    """Return the GPU that the CUDA driver counts first; None where there is no driver or no GPU."""
    try:
        driver: Any = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(128)
    major, minor = ctypes.c_int(), ctypes.c_int()
    calls: tuple[Callable[[], Any], ...] = (
        lambda: driver.cuInit(0),
        lambda: driver.cuDeviceGet(ctypes.byref(device), 0),
        lambda: driver.cuDeviceGetName(name, len(name), device),
        lambda: driver.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, device),
        lambda: driver.cuDeviceGetAttribute(ctypes.byref(minor), _COMPUTE_CAPABILITY_MINOR, device),
    )
    if any(call() != 0 for call in calls):
        return None
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}")


def _package(name: str) -> str | None:
    """Return what to import: the package, or the bindings that it consists of where they came alone."""
    return next((found for found in (name, f"{name}_bindings") if importlib.util.find_spec(found)), None)


def _imported(name: LibraryName) -> Any:
    package = _package(name)
    if package is None:
        raise UnsupportedError(f"the package {name} is not installed: {INSTALL[name]}")
    try:
        return importlib.import_module(package)
    except (ImportError, OSError) as error:
        raise UnsupportedError(
            f"the package {package} cannot be imported: {error}; {INSTALL[name]}"
        ) from None
