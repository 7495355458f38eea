"""import_hf on folders that transformers wrote.

Oracle: the transformers model itself, by its weights (bit for bit) and by its logits (against the float64
reference that reads the model directory).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf_files import SPECIALS
from transformers import LlamaForCausalLM

from mtp_rt.convert.gguf_file import GgufFile
from mtp_rt.convert.gguf_tokenizer import build_tokenizer
from mtp_rt.convert.hf_import import import_hf
from mtp_rt.convert.quantize import dequantize, quantize
from mtp_rt.errors import ArgumentError, ModelFormatError, UnsupportedError
from mtp_rt.model_dir import Kind, read_model_dir
from mtp_rt.tokenizer import Tokenizer
from reference import Reference
from tiny_llama import tiny_llama
from tiny_model.variants import stored_values


def make_model(tied: bool, dtype: torch.dtype) -> LlamaForCausalLM:
    return tiny_llama(tie_word_embeddings=tied, bos_token_id=1, eos_token_id=0).to(dtype)


@pytest.fixture
def folder(tmp_path: Path, tiny_gguf: Path) -> Callable[..., Path]:
    """Return a function that writes a Hugging Face folder: a random tiny Llama with a tokenizer."""

    def write(tied: bool = False, dtype: torch.dtype = torch.float32, **save: Any) -> Path:
        path = tmp_path / "hf"
        make_model(tied, dtype).save_pretrained(path, **save)
        with GgufFile(tiny_gguf) as file:
            (path / "tokenizer.json").write_text(build_tokenizer(file) or "")
        settings = {"chat_template": "{{ eos_token }}", "eos_token": {"content": SPECIALS[0]}}
        (path / "tokenizer_config.json").write_text(json.dumps(settings))
        return path

    return write


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("dtype", "kind"), [(torch.float32, "f32"), (torch.bfloat16, "bf16"), (torch.float16, "f32")], ids=str
)
def test_weights_are_the_models_own(
    folder: Callable[..., Path], tmp_path: Path, tied: bool, dtype: torch.dtype, kind: Kind
) -> None:
    import_hf(folder(tied=tied, dtype=dtype), tmp_path / "out")
    model = read_model_dir(tmp_path / "out")
    expected = {name: value.float().numpy() for name, value in make_model(tied, dtype).state_dict().items()}
    assert ("lm_head.weight" in model.kinds) == (not tied)
    assert set(model.kinds.values()) == {kind}
    found = stored_values(model)
    assert len(found) == 21 - tied
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])


@torch.no_grad()
def test_logits_are_the_models_own(folder: Callable[..., Path], tmp_path: Path) -> None:
    """The RoPE layout, head sizes and norms of the directory mean what they meant in the folder."""
    import_hf(folder(), tmp_path / "out")
    tokens = [5, 300, 17, 5, 42, 7, 250, 1, 19]
    expected = make_model(False, torch.float64).eval()(torch.tensor([tokens])).logits[0]
    found = Reference(tmp_path / "out").run(tokens).logits
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_shards_give_the_same_directory(folder: Callable[..., Path], tmp_path: Path) -> None:
    import_hf(folder(), tmp_path / "one")
    for path in (tmp_path / "hf").glob("model*"):
        path.unlink()
    source = folder(max_shard_size="30KB")
    assert len(list(source.glob("model-*.safetensors"))) > 2
    import_hf(source, tmp_path / "many")
    one, many = (tmp_path / name / "model.safetensors" for name in ("one", "many"))
    assert one.read_bytes() == many.read_bytes()


def test_config_is_the_models_own(folder: Callable[..., Path], tmp_path: Path) -> None:
    import_hf(folder(), tmp_path / "out", provenance={"license": "MIT"})
    config = read_model_dir(tmp_path / "out").config
    assert (config.hidden_size, config.intermediate_size, config.layers) == (64, 96, 2)
    assert (config.heads, config.kv_heads, config.head_dim, config.vocab_size) == (2, 1, 32, 320)
    assert (config.context, config.rms_norm_eps, config.rope_theta) == (128, 1e-5, 500.0)
    assert (config.rope_layout, config.bos, config.eos) == ("half", 1, (0,))
    assert config.two_stage_margin is None
    assert config.source["license"] == "MIT"
    assert len(config.source["sha256"]) == 64


def test_texts_are_copied(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = folder()
    import_hf(source, tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    assert (tmp_path / "out" / "generation_config.json").exists()
    tokenizer = Tokenizer.load(tmp_path / "out")
    assert tokenizer.render_chat([{"role": "user", "content": "x"}]) == "<|end|>"
    (source / "chat_template.jinja").write_text("own file wins")
    import_hf(source, tmp_path / "out", replace=True)
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "own file wins"
    (source / "chat_template.jinja").unlink()
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]
    edit(source / "tokenizer_config.json", chat_template=named)
    import_hf(source, tmp_path / "out", replace=True)
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "yes"


def test_every_stop_id_counts_and_the_tokenizers_own_comes_first(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    source = folder()
    edit(source / "config.json", eos_token_id=[7, 8])
    edit(source / "generation_config.json", eos_token_id=[8, 9])
    import_hf(source, tmp_path / "out")
    assert read_model_dir(tmp_path / "out").config.eos == (0, 7, 8, 9)


def test_quantised_kinds(folder: Callable[..., Path], tmp_path: Path) -> None:
    import_hf(folder(), tmp_path / "out", quantize="q4", lm_head="q8", two_stage_head=4.0)
    model = read_model_dir(tmp_path / "out")
    assert model.config.two_stage_margin == 4.0
    weights, found = make_model(False, torch.float32).state_dict(), stored_values(model)
    expected: dict[str, Kind] = {"model.layers.0.mlp.up_proj.weight": "q4", "lm_head.weight": "q8"}
    for name, kind in expected.items():
        assert model.kinds[name] == kind
        values = weights[name].numpy()
        np.testing.assert_array_equal(found[name], dequantize(quantize(values, kind), kind))
    with pytest.raises(ArgumentError, match="quantize: 'int4'"):
        import_hf(tmp_path / "hf", tmp_path / "other", quantize="int4")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model_type": "qwen2"}, UnsupportedError, "model_type: 'qwen2'"),
        ({"attention_bias": True}, UnsupportedError, "attention_bias"),
        ({"hidden_act": "gelu"}, UnsupportedError, "hidden_act"),
        ({"quantization_config": {"bits": 4}}, UnsupportedError, "quantization_config"),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            UnsupportedError,
            "rope_scaling: .llama3",
        ),
        ({"rope_parameters": {"rope_type": "yarn"}}, UnsupportedError, "rope_parameters: 'yarn'"),
        ({"hidden_size": None}, ModelFormatError, "hidden_size: is missing"),
        ({"hidden_size": "64"}, ModelFormatError, "hidden_size"),
        ({"num_hidden_layers": 3}, ModelFormatError, r"model\.layers\.2\.\S+: is missing"),
        ({"num_hidden_layers": 1}, UnsupportedError, r"model\.layers\.1\.\S+: this tensor is no part"),
        ({"intermediate_size": 128}, ModelFormatError, r"mlp\.gate_proj\.weight: has shape \[96, 64\]"),
        ({"head_dim": 48}, ModelFormatError, "head_dim"),
        ({"eos_token_id": 9999}, ModelFormatError, "eos_token_id"),
    ],
)
def test_config_that_does_not_fit_is_named(
    folder: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    source = folder()
    edit(source / "config.json", **changes)
    with pytest.raises(error, match=words):
        import_hf(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_transformers_4_and_5_rope_fields(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = folder()
    edit(source / "config.json", rope_parameters=None, rope_theta=700.0)
    import_hf(source, tmp_path / "four")
    edit(
        source / "config.json", rope_theta=None, rope_parameters={"rope_type": "default", "rope_theta": 900.0}
    )
    import_hf(source, tmp_path / "five")
    found = [read_model_dir(tmp_path / name).config.rope_theta for name in ("four", "five")]
    assert found == [700.0, 900.0]


def test_damaged_folders_are_named(folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"config\.json: is missing"):
        import_hf(tmp_path, tmp_path / "out")
    source = folder(max_shard_size="30KB")
    index = source / "model.safetensors.index.json"
    shard = sorted(source.glob("model-*.safetensors"))[0]
    whole, listing = shard.read_bytes(), index.read_text()
    for damage in (lambda: shard.write_bytes(whole[:-1]), lambda: shard.write_bytes(b""), shard.unlink):
        damage()
        with pytest.raises(ModelFormatError, match=shard.name):
            import_hf(source, tmp_path / "out")
        shard.write_bytes(whole)
    for text, words in [
        ("{}", "weight_map: is missing"),
        ('{"weight_map": {"a": "../x"}}', "a: is not mapped to a plain file name"),
        ("[", "index.json: is not valid JSON"),
    ]:
        index.write_text(text)
        with pytest.raises(ModelFormatError, match=words):
            import_hf(source, tmp_path / "out")
    index.unlink()
    with pytest.raises(ModelFormatError, match="holds neither"):
        import_hf(source, tmp_path / "out")
    index.write_text(listing)
    (source / "tokenizer.json").rename(source / "tokenizer.model")
    with pytest.raises(UnsupportedError, match=r"has tokenizer\.model but no tokenizer\.json"):
        import_hf(source, tmp_path / "out")


def test_weights_that_are_not_finite_are_named(folder: Callable[..., Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder() / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.1.mlp.down_proj.weight"][3, 4] = float("inf")
    save_file(weights, path)
    with pytest.raises(ModelFormatError, match=r"layers\.1\.mlp\.down_proj\.weight: holds NaN or infinity"):
        import_hf(path.parent, tmp_path / "out", quantize="q4")
