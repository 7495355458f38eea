"""Which libraries the CUDA part may call, by the headers that it was built with."""

from __future__ import annotations

import pytest

from mtp_rt import _core_testing
from mtp_rt.errors import UnsupportedError


@pytest.mark.parametrize(
    ("headers", "library", "version"),
    [
        ("10.14.1", "tensorrt", "10.14.1.48"),
        ("10.14.1", "tensorrt", "10.15.1.29"),
        ("10.15.1", "tensorrt", "10.9.0.34"),
        ("11.1.0", "tensorrt", "11.0.0.1"),
        ("11.1.0", "tensorrt_rtx", "1.7.1.116"),
        ("11.1.0", "tensorrt_rtx", "1.10.0.3"),
        ("12.0.0", "tensorrt", "12.3.0.1"),
    ],
)
def test_libraries_of_the_same_classes_are_taken(headers: str, library: str, version: str) -> None:
    _core_testing.check_tensorrt_headers(headers, library, version)


@pytest.mark.parametrize(
    ("headers", "library", "version", "needed"),
    [
        ("10.14.1", "tensorrt", "11.1.0.106", 11),
        ("11.1.0", "tensorrt", "10.14.1.48", 10),
        ("10.14.1", "tensorrt_rtx", "1.7.1.116", 11),
        ("1.7.1", "tensorrt_rtx", "1.7.1.116", 11),
        ("100.1.0", "tensorrt", "10.14.1.48", 10),
    ],
)
def test_others_are_refused(headers: str, library: str, version: str, needed: int) -> None:
    found = (
        rf"with the headers of TensorRT {headers}, and {library} {version} needs those of TensorRT {needed};"
    )
    with pytest.raises(UnsupportedError, match=rf"{found} build with .*MTP_RT_TENSORRT_INCLUDE"):
        _core_testing.check_tensorrt_headers(headers, library, version)


def test_a_part_without_headers_is_refused() -> None:
    with pytest.raises(
        UnsupportedError, match=r"without TensorRT's headers, and tensorrt 10\.15\.1\.29 needs"
    ):
        _core_testing.check_tensorrt_headers("", "tensorrt", "10.15.1.29")


@pytest.mark.parametrize(
    ("library", "version"),
    [
        ("tensorrt_rtx", "1.6.0.1"),
        ("tensorrt_rtx", "1"),
        ("tensorrt_rtx", "2.0.0.1"),
        ("tensorrt", "8.6.1.6"),
        ("tensorrt", ""),
        ("other", "11.1.0.106"),
    ],
)
@pytest.mark.parametrize("headers", ["10.14.1", "11.1.0", "8.6.1", ""])
def test_libraries_that_no_headers_fit(headers: str, library: str, version: str) -> None:
    with pytest.raises(UnsupportedError, match=f"no headers are known .* {library} {version}"):
        _core_testing.check_tensorrt_headers(headers, library, version)
