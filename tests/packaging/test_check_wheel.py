"""The limits of a wheel: of each model, of the CUDA part and of the rest."""

from __future__ import annotations

import zipfile

import check_wheel
import pytest


def entry(name: str, megabytes: float) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_size = round(megabytes * 1e6)
    return info


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ({"mtp_rt/a": 9.9, "mtp_rt/hub/packages/one/h": 11.9, "mtp_rt/hub/packages/two/h": 11.9}, []),
        ({"mtp_rt/a": 6, "mtp_rt/b": 4.2}, ["the wheel without models and CUDA part: 10.2 MB, more than 10"]),
        ({"mtp_rt/a": 9, "mtp_rt/lib/libmtp_rt_cuda.so": 4.9}, []),
        ({"mtp_rt/lib/libmtp_rt_cuda.so": 5.1}, ["the CUDA part: 5.1 MB, more than 5"]),
        (
            {"mtp_rt/hub/packages/one/a": 7, "mtp_rt/hub/packages/one/b": 5.5, "mtp_rt/a": 1},
            ["one: 12.5 MB, more than 12"],
        ),
    ],
)
def test_too_large(sizes: dict[str, float], found: list[str]) -> None:
    assert check_wheel.too_large([entry(name, size) for name, size in sizes.items()]) == found
