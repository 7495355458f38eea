"""Providers that the library has and the machine cannot use, or has no memory for: typed errors, no crash.

The library is one of the tests: a table of functions that succeed, but for one. Its places are those of
onnxruntime_c_api.h.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_library import fake_library

from mtp_rt import _core_testing
from mtp_rt._core import Engine
from mtp_rt.engines import library_of, open_cuda_libraries
from mtp_rt.errors import CapacityError, Error, UnsupportedError

SOURCE = """
#include <stddef.h>
#include <stdint.h>
static const void* good(void) { return 0; }
static void* make(void** out) { *out = "made"; return 0; }
static void* make_env(int level, const char* name, void** out) { return make(out); }
static void* make_on_device(void* a, int b, int c, int d, void** out) { return make(out); }
static void* make_host_memory(int a, int b, void** out) { return make(out); }
static const char* names[] = {"CUDAExecutionProvider", "CPUExecutionProvider"};
static void* list(const char*** out, int* count) { *out = names; *count = 2; return 0; }
static const char* message(const void* status) { return status; }
static void* fail(void) { return (void*)"FAILURE"; }
static const void* table[300];
static const void* get_api(uint32_t version) {
  for (size_t i = 0; i < 300; ++i) table[i] = (const void*)good;
  table[2] = (const void*)message;
  table[3] = (const void*)make_env;          // CreateEnv
  table[10] = (const void*)make;             // CreateSessionOptions
  table[68] = (const void*)make_on_device;   // CreateMemoryInfo
  table[69] = (const void*)make_host_memory; // CreateCpuMemoryInfo
  table[125] = (const void*)list;            // GetAvailableProviders
  table[205] = (const void*)make;            // CreateCUDAProviderOptions
  table[PLACE] = (const void*)fail;
  return table;
}
static const char* get_version(void) { return "1.30.0"; }
struct base { const void* (*api)(uint32_t); const char* (*version)(void); };
static const struct base base = {get_api, get_version};
const void* OrtGetApiBase(void) { return &base; }
"""

# The installed library, but for where a session reads its inputs: on a GPU, while caches lie with the host.
ELSEWHERE = """
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
struct base { const void* (*api)(uint32_t); const char* (*version)(void); };
static const void* table[381];
static void* (*create_memory_info)(const char*, int, int, int, void**);
static void* on_gpu(const void* session, void** memories, size_t count) {
  for (size_t i = 0; i < count; ++i) create_memory_info("Cuda", 0, 0, 0, &memories[i]);
  return 0;
}
static const struct base* real(void) {
  void* library = dlopen("LIBRARY", RTLD_NOW | RTLD_LOCAL);
  return ((const struct base* (*)(void))dlsym(library, "OrtGetApiBase"))();
}
static const void* get_api(uint32_t version) {
  memcpy(table, real()->api(version), sizeof(table));
  create_memory_info = table[68];
  table[380] = (const void*)on_gpu;  // SessionGetMemoryInfoForInputs
  return table;
}
static const char* get_version(void) { return real()->version(); }
static const struct base base = {get_api, get_version};
const void* OrtGetApiBase(void) { return &base; }
"""

PLACES = {"CreateCUDAProviderOptions": 205, "UpdateCUDAProviderOptions": 206, "AppendExecutionProvider": 204}
CREATE_SESSION = 8


@pytest.fixture
def opened(tiny_model: Path, tmp_path: Path) -> Callable[[int, str], Engine]:
    """Return a function: the place of the function that fails, its message -> the engine on CUDA."""

    def get(place: int, message: str) -> Engine:
        library = fake_library(tmp_path, SOURCE.replace("PLACE", str(place)).replace("FAILURE", message))
        return Engine(str(tiny_model), engine="onnxruntime", provider="cuda", library=library)

    return get


@pytest.mark.parametrize("function", PLACES)
def test_a_machine_without_a_gpu_is_told_so(function: str, opened: Callable[[int, str], Engine]) -> None:
    message = "Failed to load library libonnxruntime_providers_cuda.so: libcuda.so.1: cannot open"
    with pytest.raises(
        UnsupportedError, match=r"provider 'cuda': ONNX Runtime 1.30.0 cannot use it"
    ) as refused:
        opened(PLACES[function], message)
    assert message in str(refused.value)
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]" in str(refused.value)


def test_a_gpu_that_fails_when_a_graph_opens(opened: Callable[[int, str], Engine]) -> None:
    with pytest.raises(UnsupportedError, match=r"provider 'cuda': .* no CUDA-capable device is detected"):
        opened(CREATE_SESSION, "CUDA failure 100: no CUDA-capable device is detected")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("BFCArena: Failed to allocate memory for requested buffer of size 8", CapacityError),
        ("CUDA failure 2: out of memory ; GPU=0", CapacityError),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", CapacityError),
        ("CUDA failure 700: an illegal memory access was encountered", UnsupportedError),
    ],
)
@pytest.mark.parametrize("place", [PLACES["AppendExecutionProvider"], CREATE_SESSION])
def test_memory_that_does_not_suffice(
    place: int, message: str, kind: type[Error], opened: Callable[[int, str], Engine]
) -> None:
    with pytest.raises(kind, match=message.replace("(", "[(]")):
        opened(place, message)


def test_caches_that_a_session_reads_elsewhere_are_refused(
    tiny_model: Path, exported: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Binding would copy them once, and the next run would not see what this one wrote."""
    pytest.importorskip("onnxruntime")
    graphs = exported(tiny_model)
    library = fake_library(tmp_path, ELSEWHERE.replace("LIBRARY", library_of("onnxruntime", graphs)))
    with pytest.raises(
        UnsupportedError, match=r"verify.onnx: .* reads 'past.[0-9]+.(key|value)' in host memory"
    ):
        _core_testing.open_with_device_caches(str(graphs), library=library)


def test_libraries_of_packages_are_opened_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that needs another one of the packages, where the loader does not look."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path / "nvidia" / "cu99" / "lib"
    folder.mkdir(parents=True)
    source = tmp_path / "empty.c"
    source.write_text("int nothing;")
    command = [compiler, "-shared", "-fPIC", source, "-Wl,--no-as-needed"]
    first, second = folder / "libcublasLt.so.99", folder / "libcublas.so.99"
    subprocess.run([*command, "-Wl,-soname,libcublasLt.so.99", "-o", first], check=True)
    subprocess.run([*command, "-o", second, first], check=True)
    (folder / "libcudart.so.99").write_text("no library")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert open_cuda_libraries() == [str(first), str(second)]
