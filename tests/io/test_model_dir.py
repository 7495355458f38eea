"""Good model directories: what the writer was given comes back from the C++ and the Python reader alike."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from tiny_dirs import BLOCK_HEADS, CONFIG, HEADS, OWN_HEADS, Part, tiny_parts, with_heads

from mtp_rt import _core_testing
from mtp_rt.errors import ModelFormatError
from mtp_rt.model_dir import describe, layout_of, parse_model_config, read_model_dir, write_model_dir


def stream(parts: dict[str, Part]) -> Iterator[tuple[str, str, tuple[int, ...], bytes]]:
    return ((name, *part) for name, part in parts.items())


@pytest.fixture
def tiny_dir(tmp_path: Path) -> Path:
    write_model_dir(tmp_path / "model", CONFIG, stream(tiny_parts()), {"tokenizer.json": b"{}"})
    return tmp_path / "model"


@pytest.mark.parametrize("heads", [HEADS, BLOCK_HEADS, OWN_HEADS], ids=["residual", "block", "own"])
def test_heads_come_back(heads: dict[str, Any], tmp_path: Path) -> None:
    config = with_heads(heads)
    parts = tiny_parts(config)
    write_model_dir(tmp_path / "model", config, stream(parts))
    ours, native = read_model_dir(tmp_path / "model"), _core_testing.ModelDir.open(str(tmp_path / "model"))
    read = dataclasses.asdict(ours.config)["extra_heads"]
    assert read["unembedding"] == heads.get("unembedding", "shared")
    assert read == read | {
        key: tuple(value) if isinstance(value, list) else value for key, value in heads.items()
    }
    assert native.config["extra_heads"] == {key: read[key] for key in read if key != "quantization"}
    assert list(ours.tensors) == native.tensor_names == sorted(parts)
    for name in (name for name in parts if name.startswith("heads.")):
        assert native.tensor(name) == parts[name]
        assert ours.tensor(name) == parts[name][2]
    facts = describe(tmp_path / "model")
    assert facts["extra_heads"]["weight_bytes"] == sum(
        len(data) for name, (_, _, data) in parts.items() if name.startswith("heads.")
    )
    assert "heads.mlp.gate_proj" in facts["quantization"]


def test_the_config_means_the_same_to_both_readers(tiny_dir: Path) -> None:
    ours = dataclasses.asdict(read_model_dir(tiny_dir).config)
    native = _core_testing.ModelDir.open(str(tiny_dir)).config
    assert ours.pop("quantization") == CONFIG["mtp_rt"]["quantization"]
    assert ours.pop("source") == CONFIG["mtp_rt"]["source"]
    assert ours == native | {"eos": (1, 32), "rms_norm_eps": 1e-5}
    assert native["rms_norm_eps"] == np.float32(1e-5)


def test_defaults_of_the_specification() -> None:
    config = CONFIG | {"mtp_rt": {"format_version": 1, "rope_layout": "half"}}
    for key in ("num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "bos_token_id"):
        del config[key]
    config |= {"tie_word_embeddings": None, "eos_token_id": None}
    text = json.dumps(config).encode()
    expected = {
        "kv_heads": 2,
        "head_dim": 32,
        "rope_theta": 10000.0,
        "tied_embedding": False,
        "bos": None,
        "eos": [],
        "two_stage_margin": None,
        "rope_layout": "half",
        "rms_norm_eps": np.float32(1e-6),
    }
    native = _core_testing.parse_model_config(text)
    assert native == native | expected
    ours = dataclasses.asdict(parse_model_config(text))
    assert ours == ours | expected | {"eos": (), "rms_norm_eps": 1e-6}


Model = tuple[dict[str, Any], dict[str, str]]  # config, kind of each matrix


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A config of any small shape (odd vocabularies and block counts too) and a storage kind per matrix."""
    heads = draw(st.integers(1, 4))
    config = CONFIG | {
        "hidden_size": 32 * draw(st.integers(1, 3)),
        "intermediate_size": 32 * draw(st.integers(1, 3)),
        "num_hidden_layers": draw(st.integers(1, 2)),
        "num_attention_heads": heads,
        "num_key_value_heads": draw(st.sampled_from([k for k in range(1, heads + 1) if heads % k == 0])),
        "vocab_size": draw(st.integers(33, 67)),
        "tie_word_embeddings": draw(st.booleans()),
        "mtp_rt": {"format_version": 1, "rope_layout": draw(st.sampled_from(["half", "interleaved"]))},
    }
    names = list(layout_of(parse_model_config(json.dumps(config).encode())).matrices)
    kind = st.sampled_from(["f32", "bf16", "q8", "q4"])
    kinds = draw(st.lists(kind, min_size=len(names), max_size=len(names)))
    return config, dict(zip(names, kinds, strict=True))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.randoms(use_true_random=False))
def test_any_model_comes_back_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory,
    model: Model,
    order: random.Random,
) -> None:
    config, kinds = model
    parts = tiny_parts(config, kinds.__getitem__)
    names = list(parts)
    order.shuffle(names)
    target = tmp_path_factory.mktemp("models") / "model"
    write_model_dir(target, config, ((name, *parts[name]) for name in names))
    ours, native = read_model_dir(target), _core_testing.ModelDir.open(str(target))
    assert list(ours.tensors) == native.tensor_names == sorted(parts)
    for name, (dtype, shape, data) in parts.items():
        assert native.tensor(name) == (dtype, shape, data)
        assert (ours.tensors[name].dtype, ours.tensors[name].shape, ours.tensor(name)) == (dtype, shape, data)
    for name, (rows, cols) in layout_of(ours.config).matrices.items():
        weight = native.weight(name, rows, cols)
        assert weight["kind"] == ours.weight_kind(name) == kinds[name]
        suffix = {"q8": ".q8", "q4": ".q4"}.get(kinds[name], "")
        assert weight["data"][2] == parts[name + suffix][2]
        assert {part for part in ("scale", "min") if part in weight} == {
            part for part in ("scale", "min") if f"{name}.{part}" in parts
        }
        assert all(weight[part] == parts[f"{name}.{part}"] for part in ("scale", "min") if part in weight)


def test_the_file_is_safetensors_to_others(tiny_dir: Path) -> None:
    """Oracle: the safetensors package."""
    with safe_open(tiny_dir / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "mtp_rt"}
        for name, (dtype, shape, data) in tiny_parts().items():
            if dtype != "BF16":  # numpy has none
                tensor = file.get_tensor(name)
                assert (tensor.shape, tensor.tobytes()) == (shape, data)


def test_a_weight_of_another_shape_is_refused(tiny_dir: Path) -> None:
    native = _core_testing.ModelDir.open(str(tiny_dir))
    with pytest.raises(ModelFormatError) as caught:
        native.weight("lm_head.weight", 32, 64)
    assert caught.value.field == "lm_head.weight.q8"
    for read in (native.tensor, read_model_dir(tiny_dir).tensor, read_model_dir(tiny_dir).weight_kind):
        with pytest.raises(ModelFormatError) as caught:
            read("model.layers.9.mlp.up_proj.weight")
        assert caught.value.field == "model.layers.9.mlp.up_proj.weight"


def test_forgotten_tensors_stay_readable(tiny_dir: Path) -> None:
    native = _core_testing.ModelDir.open(str(tiny_dir))
    for name, part in tiny_parts().items():
        native.forget(name)
        assert native.tensor(name) == part
        native.forget(name)


def test_describe_counts_what_is_stored(tiny_dir: Path) -> None:
    facts = describe(tiny_dir)
    layer = 64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64 + 2 * 64
    assert facts["parameters"] == 2 * 33 * 64 + layer + 64
    assert facts["quantization"]["self_attn.o_proj"] == {"f32": 1}
    assert facts["quantization"]["lm_head"] == {"q8": 1}
    assert facts["weight_bytes"] == sum(len(data) for _, _, data in tiny_parts().values())
    assert facts["file_bytes"] == (tiny_dir / "model.safetensors").stat().st_size
    assert (facts["tokenizer"], facts["chat_template"]) == (True, False)
    assert facts["two_stage_head"] == {"margin": 8.0}
