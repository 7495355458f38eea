"""tensorrt.json: read whole, or refused with the file and the field; and which plan serves a call."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtp_rt import _core_testing
from mtp_rt.errors import ModelFormatError, UnsupportedError

RECORD = "tensorrt.json"
DIGEST = "0123456789abcdef" * 4
STEPS = {"batch": [1, 1, 4], "width": [1, 4, 16], "rows": [1, 4, 16]}
PROMPTS = {"batch": [1, 1, 1], "width": [17, 128, 128], "rows": [1, 1, 16]}


def plan(file: str, graph: str, context: int | None, profiles: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "file": file,
        "graph": graph,
        "context": context,
        "capacity": None if context is None else context + 64,
        "bytes": 10 + len(file),
        "sha256": DIGEST,
        "graph_sha256": DIGEST,
        "profiles": profiles,
        "operators": {"Add": {"ELEMENTWISE": 3}},
        "fallbacks": [],
    }


def good() -> dict[str, Any]:
    return {
        "format_version": 1,
        "library": "tensorrt_rtx",
        "version": "1.7.1.116",
        "gpu": None,
        "weights_sha256": DIGEST,
        "batch": 4,
        "step_width": 16,
        "prompt_width": 128,
        "plans": [
            plan("verify.64.engine", "verify", 64, [STEPS, PROMPTS]),
            plan("verify.256.engine", "verify", 256, [STEPS, PROMPTS]),
            plan("draft_2.engine", "draft_2", None, [STEPS]),
        ],
    }


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A model with plans of the sizes that `good` names."""
    for name in ["config.json", "model.safetensors"]:
        (tmp_path / name).symlink_to(tiny_model / name)
    for entry in good()["plans"]:
        (tmp_path / entry["file"]).write_bytes(bytes(entry["bytes"]))
    return tmp_path


def read(folder: Path, record: Any) -> Any:
    (folder / RECORD).write_text(record if isinstance(record, str) else json.dumps(record))
    return _core_testing.PlansRecord.read(_core_testing.ModelDir.open(str(folder)))


def refused(folder: Path, record: Any) -> str:
    with pytest.raises(ModelFormatError) as error:
        read(folder, record)
    return str(error.value)


def test_a_good_record_is_read_whole(folder: Path) -> None:
    values = read(folder, good()).values
    steps, prompts = ((1, 1, 4), (1, 4, 16), (1, 4, 16)), ((1, 1, 1), (17, 128, 128), (1, 1, 16))
    for key in ["library", "version", "gpu", "weights_sha256", "batch", "step_width", "prompt_width"]:
        assert values[key] == good()[key]
    assert [entry.pop("profiles") for entry in values["plans"]] == [[steps, prompts]] * 2 + [[steps]]
    assert values["plans"][1] == {
        "file": "verify.256.engine",
        "graph": "verify",
        "context": 256,
        "capacity": 320,
        "bytes": 27,
        "sha256": DIGEST,
    }
    assert (values["plans"][2]["context"], values["plans"][2]["capacity"]) == (0, 0)


def test_a_gpu_is_read(folder: Path) -> None:
    gpu = {"name": "NVIDIA H100", "compute_capability": "9.0"}
    record = read(folder, good() | {"gpu": gpu})
    assert record.values["gpu"] == ("NVIDIA H100", "9.0")
    record.check_gpu("9.0")
    with pytest.raises(
        UnsupportedError, match=r"NVIDIA H100 \(compute capability 9.0\), and this GPU has 8.9"
    ):
        record.check_gpu("8.9")
    read(folder, good()).check_gpu("8.9")  # built for every GPU


def test_only_the_library_that_built_the_plans_fits(folder: Path) -> None:
    record = read(folder, good())
    record.check_library("tensorrt_rtx", "1.7.1.116")
    for library, version in [("tensorrt", "1.7.1.116"), ("tensorrt_rtx", "1.7.1.117")]:
        with pytest.raises(UnsupportedError, match=f"tensorrt_rtx 1.7.1.116, .* is {library} {version}"):
            record.check_library(library, version)


@pytest.mark.parametrize("key", ["format_version", "library", "version", "weights_sha256", "batch", "plans"])
def test_fields_may_not_be_absent(folder: Path, key: str) -> None:
    record = good()
    del record[key]
    assert refused(folder, record).startswith(f"{RECORD}: {key}: ")


@pytest.mark.parametrize("key", ["file", "graph", "context", "capacity", "bytes", "sha256", "profiles"])
def test_fields_of_a_plan_may_not_be_absent(folder: Path, key: str) -> None:
    record = good()
    del record["plans"][1][key]
    assert refused(folder, record).startswith(f"{RECORD}: plans[1].{key}: ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", 2),
        ("format_version", "1"),
        ("library", "onnxruntime"),
        ("version", "1..7"),
        ("version", "1.7 "),
        ("version", ""),
        ("gpu", "NVIDIA H100"),
        ("gpu.compute_capability", {"name": "NVIDIA H100"}),
        ("gpu.compute_capability", {"name": "NVIDIA H100", "compute_capability": "sm_90"}),
        ("weights_sha256", DIGEST[:-1]),
        ("weights_sha256", DIGEST.upper()),
        ("batch", 0),
        ("batch", 1.5),
        ("step_width", -1),
        ("prompt_width", 1 << 40),
        ("plans", []),
        ("plans", {}),
        ("plans", ["verify.64.engine"]),
        ("plans", good()["plans"][2:]),  # no trunk
        ("surprise", 1),
    ],
)
def test_a_malformed_field_is_named(folder: Path, key: str, value: Any) -> None:
    assert refused(folder, good() | {key.split(".", maxsplit=1)[0]: value}).startswith(f"{RECORD}: {key}: ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "verify.64.engine"),
        ("file", "../verify.256.engine"),
        ("file", "/etc/passwd"),
        ("graph", "draft_"),
        ("graph", "draft_02"),
        ("graph", "../draft"),
        ("context", 0),
        ("context", 1 << 30),
        ("capacity", 256),  # no room for the rows of a step
        ("bytes", 0),
        ("bytes", -27),
        ("sha256", "0" * 63 + "g"),
        ("profiles", []),
        ("profiles", [[1, 1, 1]]),
        ("profiles[0].batch", [STEPS | {"batch": [1, 1, 5]}]),
        ("profiles[0].batch", [STEPS | {"batch": [0, 1, 4]}]),
        ("profiles[0].width", [STEPS | {"width": [4, 1, 16]}]),
        ("profiles[0].width", [STEPS | {"width": [1, 4, 129]}]),
        ("profiles[0].rows", [STEPS | {"rows": [1, 4]}]),
        ("profiles[1].rows", [STEPS, STEPS | {"rows": "all"}]),
        ("profiles[0].depth", [STEPS | {"depth": [1, 1, 1]}]),
        ("surprise", 1),
    ],
)
def test_a_malformed_field_of_a_plan_is_named(folder: Path, key: str, value: Any) -> None:
    record = good()
    record["plans"][1][key.split("[", maxsplit=1)[0]] = value
    assert refused(folder, record).startswith(f"{RECORD}: plans[1].{key}: ")


def test_what_has_no_context_has_no_capacity_and_no_plan_stands_twice(folder: Path) -> None:
    record = good()
    record["plans"][2]["capacity"] = 64
    assert refused(folder, record).startswith(f"{RECORD}: plans[2].capacity: is set")
    record = good()
    record["plans"].append(copy.deepcopy(record["plans"][0]))
    assert refused(folder, record).startswith(f"{RECORD}: plans[3].file: ")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"batch": 1, "batch": 2}', "[" * 100])
def test_what_is_no_object_is_refused(folder: Path, text: str) -> None:
    assert refused(folder, text).startswith(f"{RECORD}: ")


def test_a_missing_record_says_how_to_make_one(folder: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"tensorrt.json: is missing.*`mtp-rt export --tensorrt`"):
        _core_testing.PlansRecord.read(_core_testing.ModelDir.open(str(folder)))


@pytest.mark.parametrize(
    "change",
    [Path.unlink, lambda path: path.write_bytes(b"short"), lambda path: (path.unlink(), path.mkdir())],
)
def test_plans_must_be_what_the_record_says(folder: Path, change: Callable[[Path], object]) -> None:
    change(folder / "verify.256.engine")
    message = refused(folder, good())
    assert message.startswith("verify.256.engine: ")
    assert "`mtp-rt export --tensorrt`" in message


def test_the_shortest_plan_that_is_long_enough_serves(folder: Path) -> None:
    record = read(folder, good())
    for context, file in [(1, "verify.64.engine"), (64, "verify.64.engine"), (65, "verify.256.engine")]:
        assert record.plan_for("verify", context) == file
    assert record.plan_for("draft_2", 10_000) == "draft_2.engine"
    with pytest.raises(UnsupportedError, match="context is 257, and the plans of verify are for 64, 256"):
        record.plan_for("verify", 257)
    with pytest.raises(UnsupportedError, match="no plan of the graph draft"):
        record.plan_for("draft", 64)


def test_the_first_profile_that_holds_a_call_serves_it(folder: Path) -> None:
    record = read(folder, good())
    for call, profile in [
        ((1, 1, 1), 0),
        ((4, 16, 16), 0),
        ((1, 17, 1), 1),
        ((1, 128, 16), 1),
        ((2, 17, 1), None),
        ((5, 1, 1), None),
        ((1, 129, 1), None),
        ((1, 17, 17), None),
    ]:
        assert record.profile_for(0, *call) == profile
