"""Settings from TOML and YAML: what is accepted, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.training.pretrain.config import TrainConfig
from mtp_rt.training.pretrain.config_file import read_config
from mtp_rt.training.pretrain.settings import build, override

TEXT = """
[data]
train = ["a.txt", "src"]
[model]
hidden_size = 256
[training]
learning_rate = 1
"""


def make(*changes: str) -> TrainConfig:
    import tomllib

    return build(TrainConfig, override(tomllib.loads(TEXT), changes), "c.toml")


def test_fields_defaults_and_overrides() -> None:
    config = make(
        "heads.n=2", "data.field=body", "model.kv_heads=1", "training.dtype=bfloat16", "model.tied=true"
    )
    assert config.data.train == ("a.txt", "src")
    assert config.model.hidden_size == 256
    assert config.training.learning_rate == 1.0
    assert (config.heads.n, config.data.field, config.model.kv_heads, config.model.tied) == (
        2,
        "body",
        1,
        True,
    )
    assert make('data.train=["b"]').data.train == ("b",)


REFUSED = [
    ("training.stesp=3", r"c.toml: training.stesp: no such field; did you mean steps\?"),
    ("modle.layers=3", r"c.toml: modle: no such field; did you mean model\?"),
    ("training.zzz=3", "no such field; known: sequence, batch"),
    ("training.steps=1.5", "training.steps: is 1.5; expected a whole number"),
    ("training.steps=true", "training.steps: is True; expected a whole number"),
    ("training.clip=high", "training.clip: is 'high'; expected a number"),
    ("model.tied=1", "model.tied: is 1; expected true or false"),
    ("model=3", "model: is 3; expected a table"),
    ("training.dtype=half", "training.dtype: is 'half'; expected one of float32, bfloat16"),
    ("training.steps=0", "training.steps: 0 is outside 1 to inf"),
    ("training.accumulate=3", "training.accumulate: 3 does not divide batch, 16"),
    ("heads.preset=gloekle", "heads.preset: 'gloekle' is not one of recurrent, .*, anticausal"),
    ("heads.n=33", "heads.n: 33 is outside 1 to 32"),
    ("training.sequence=4", "heads.n: 4 tokens ahead do not fit a sequence of 4"),
    ("heads.n=8", "model.layers: 5 are not enough for 7 heads that take a layer each"),
    ("model.hidden_size=100", "model.hidden_size: 100 is not a multiple of 32"),
    ("model.heads=3", "model.heads: 3 do not divide hidden_size"),
    ("model.kv_heads=3", "model.kv_heads: 3 does not divide heads, 4"),
    ("steps", "expected NAME=VALUE"),
    ("data.train.x=3", "train is not a table"),
]


@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_what_does_not_fit_is_named(change: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        make(change)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        (("heads.preset=causal",), 3),
        (("heads.preset=causal", "training.recompute=true"), 0),
        (("heads.preset=causal", "heads.compute_matched=false"), 0),
        (("heads.preset=gloeckle",), 0),
    ],
)
def test_graphs_are_kept_where_they_take_the_place_of_layers(changes: tuple[str, ...], kept: int) -> None:
    assert make(*changes).kept_graphs() == kept


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"c.toml: data: is missing"):
        build(TrainConfig, {}, "c.toml")


def test_anticausal_chains_have_no_curriculum() -> None:
    with pytest.raises(ArgumentError, match=r"heads\.curriculum: an anticausal chain is trained whole"):
        make("heads.preset=anticausal", "heads.curriculum=forward")


def test_a_shared_module_has_no_output_matrices_of_its_own() -> None:
    config = make("heads.preset=fastmtp", "heads.unembedding=own")
    with pytest.raises(ArgumentError, match="unembedding: fastmtp has one module"):
        config.model_config(257, 256)


def test_bad_toml_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[data\n")
    with pytest.raises(ArgumentError, match=r"bad.toml: is not TOML: .*line 1"):
        read_config(tmp_path / "bad.toml")
    with pytest.raises(ArgumentError, match=r"none.toml: cannot be read: No such file"):
        read_config(tmp_path / "none.toml")


YAML = """
data: {train: [a.txt, src]}
model: {hidden_size: 256, context: null}
training:
  learning_rate: 1e-3
  dtype: bfloat16
"""


def test_yaml_says_the_same(tmp_path: Path) -> None:
    """Oracle: the same settings in TOML. 1e-3 is a number, as it is there."""
    pytest.importorskip("yaml")
    path = tmp_path / "c.yaml"
    path.write_text(YAML)
    found = build(TrainConfig, read_config(path), "c.yaml")
    assert found == make("training.learning_rate=1e-3", "training.dtype=bfloat16")
    assert build(TrainConfig, override(read_config(path), ["model.layers=7"]), "c").model.layers == 7


def test_a_yaml_name_that_begins_like_a_number_is_a_name(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "c.yml").write_text("data: {train: [3e5b.txt], tokenizer: 1e5/tokenizer.json}")
    found = read_config(tmp_path / "c.yml")["data"]
    assert found == {"train": ["3e5b.txt"], "tokenizer": "1e5/tokenizer.json"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data: [", "bad.yml: is not YAML: .*line 1"),
        ("data: {train: a, train: b}", "is not YAML: 'train' .*twice"),
        ("3: x", "is not YAML: 3 is no name"),
        ("- a", "bad.yml: is a list; expected tables"),
        ("data: !!python/object/apply:os.getcwd []", "is not YAML: could not determine a constructor"),
        ("[" * 5000, "is not YAML"),
        ("data: {train: 2026-13-01}", "is not YAML: month"),
    ],
)
def test_bad_yaml_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "bad.yml").write_text(text)
    with pytest.raises(ArgumentError, match=says):
        read_config(tmp_path / "bad.yml")


def test_yaml_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(YAML)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UnsupportedError, match=r"YAML needs pyyaml.*mtp-rt\[train\]"):
        read_config(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("changes", "layers", "extra"),
    [
        (["heads.n=4"], 2, 3),
        (["heads.n=4", "heads.compute_matched=false"], 5, 3),
        (["heads.n=1"], 5, None),
        (["heads.n=32", "heads.preset=medusa"], 5, 31),
    ],
)
def test_heads_take_the_place_of_layers(changes: list[str], layers: int, extra: int | None) -> None:
    config = make(*changes).model_config(257, 256)
    assert config.layers == layers
    assert (config.extra_heads.count if config.extra_heads else None) == extra
    assert config.intermediate_size == 704  # 8/3 of 256, up to a multiple of 32


def test_the_rate_rises_and_falls_to_its_last_share() -> None:
    training = make("training.steps=100", "training.warm_up=10", "training.final_rate=0.1").training
    rates = [training.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0, abs=0.03)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
