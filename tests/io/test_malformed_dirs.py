"""Every bad model directory gives the expected error, file and field, from the C++ and the Python reader.

The oracle is the list of cases: each says how it differs from a directory that both readers accept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from malformed_case import Case, no_directory_cases
from malformed_config import CONFIG_CASES
from malformed_heads import HEADS_CASES
from malformed_weights import WEIGHTS_CASES
from tiny_dirs import BLOCK_HEADS, CONFIG, HEADS, OWN_HEADS, tiny_draft, with_heads

from mtp_rt import _core_testing
from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir import read_model_dir

READERS = {"native": lambda path: _core_testing.ModelDir.open(str(path)), "python": read_model_dir}
reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


@reader
@pytest.mark.parametrize(
    "config",
    [CONFIG, *map(with_heads, (HEADS, BLOCK_HEADS, OWN_HEADS))],
    ids=["plain", "heads", "block heads", "own output matrices"],
)
def test_the_undamaged_directory_opens(
    read: Callable[[Path], object], config: dict[str, Any], tmp_path: Path
) -> None:
    read(tiny_draft(config).write(tmp_path / "model"))


@reader
@pytest.mark.parametrize("case", CONFIG_CASES + WEIGHTS_CASES + HEADS_CASES, ids=lambda case: case.name)
def test_a_bad_directory_is_refused(read: Callable[[Path], object], case: Case, tmp_path: Path) -> None:
    draft = case.draft()
    case.change(draft)
    folder = draft.write(tmp_path / "model")
    case.after(folder)
    with pytest.raises(case.error) as caught:
        read(folder)
    error = caught.value
    assert type(error) is case.error
    if isinstance(error, ModelFormatError):
        assert (error.file, error.field) == (case.file, case.field), error
        assert len(error.problem) > 8
    else:
        assert str(error).startswith(f"{case.file}: {case.field}: ")
    assert str(error).isprintable()
    assert len(str(error)) < 600


@reader
@pytest.mark.parametrize(
    ("name", "make"), no_directory_cases(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_path_to_no_directory_is_named(
    read: Callable[[Path], object], name: str, make: Callable[[Path], object], tmp_path: Path
) -> None:
    folder = tiny_draft().write(tmp_path / "model")
    make(folder)
    with pytest.raises(ModelFormatError) as caught:
        read(folder)
    assert (caught.value.file, caught.value.field) == (str(folder), "")


@reader
def test_top_level_files_may_be_links(read: Callable[[Path], object], tmp_path: Path) -> None:
    cache = tiny_draft().write(tmp_path / "cache")
    folder = tmp_path / "model"
    folder.mkdir()
    for file in cache.iterdir():
        (folder / file.name).symlink_to(file)
    read(folder)
