"""Opening the CUDA part: what is said where it is missing, foreign or of another version."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import mtp_rt
from mtp_rt import _core
from mtp_rt.errors import UnsupportedError

PART = Path(mtp_rt.__file__).parent / "lib" / "libmtp_rt_cuda.so"
CXX = shutil.which("c++")


def library(folder: Path, source: str) -> str:
    """Compile a shared object in place of the CUDA part."""
    assert CXX is not None
    (folder / "part.cpp").write_text(source)
    target = folder / "part.so"
    subprocess.run([CXX, "-shared", "-fPIC", "-o", target, folder / "part.cpp"], check=True)
    return str(target)


@pytest.mark.skipif(PART.exists(), reason="this build has the CUDA part")
def test_a_build_without_the_part_says_how_to_get_it() -> None:
    with pytest.raises(UnsupportedError, match=r"this build has none .*MTP_RT_CUDA=ON"):
        _core.cuda_devices()


@pytest.mark.skipif(not PART.exists(), reason="this build has no CUDA part")
def test_the_part_is_of_the_library_s_version() -> None:
    assert _core.cuda_part() == mtp_rt.__version__


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="cannot be opened"):
        _core.cuda_part(str(tmp_path / "absent.so"))


@pytest.mark.skipif(CXX is None, reason="needs a C++ compiler")
def test_a_foreign_library_and_another_version(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="is another library"):
        _core.cuda_part(library(tmp_path, "int nothing;"))
    (tmp_path / "old").mkdir()
    old = """
    struct { const char* version; } api{"0.0.1"};
    extern "C" const void* mtp_rt_cuda_part() { return &api; }
    """
    with pytest.raises(UnsupportedError, match=r"is of version 0\.0\.1, the library of"):
        _core.cuda_part(library(tmp_path / "old", old))


@pytest.mark.skipif(not PART.exists(), reason="this build has no CUDA part")
def test_without_a_gpu_the_error_says_what_is_missing() -> None:
    """With one, the list is not empty and names what a build is made for."""
    try:
        devices = _core.cuda_devices()
    except UnsupportedError as error:
        assert any(text in str(error) for text in ("no NVIDIA driver", "no GPU"))
    else:
        assert all(name and float(capability) >= 7.5 and memory > 0 for name, capability, memory in devices)
        assert devices
