"""import_gguf on files of every tensor type.

Oracle: gguf.dequantize of the same blocks, bit for bit where values carry over, else the written numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf_files import HIDDEN, metadata, random_tensors, write_gguf

from mtp_rt.convert.gguf_file import GgufFile
from mtp_rt.convert.gguf_import import import_gguf
from mtp_rt.convert.gguf_weights import own_kind, read_matrix
from mtp_rt.convert.quantize import dequantize, quantize
from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import Kind, ModelDir, read_model_dir
from tiny_model.variants import stored_values

OURS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "blk.1.attn_k.weight": "model.layers.1.self_attn.k_proj.weight",
    "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj.weight",
    "blk.1.attn_output.weight": "model.layers.1.self_attn.o_proj.weight",
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def our_names(layers: Iterable[int]) -> dict[str, str]:
    """GGUF's name -> ours, written down here once more so that a swapped pair in the importer shows."""
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    for layer in layers:
        names |= {f"blk.{layer}.{a}": f"model.layers.{layer}.{b}" for a, b in LAYER_NAMES.items()}
    return {f"{theirs}.weight": f"{ours}.weight" for theirs, ours in names.items()}


def convert(tmp_path: Path, type_name: str, tied: bool = True, **options: Any) -> ModelDir:
    source = write_gguf(
        tmp_path / "in.gguf", tensors=random_tensors(tied=tied), type_of=lambda name: type_name
    )
    import_gguf(source, tmp_path / "out", **options)
    return read_model_dir(tmp_path / "out")


@pytest.mark.parametrize(
    ("type_name", "kind"), [("F32", "f32"), ("BF16", "bf16"), ("Q8_0", "q8"), ("Q4_0", "q4"), ("Q4_1", "q4")]
)
def test_values_carry_over_bit_for_bit(tmp_path: Path, type_name: str, kind: Kind) -> None:
    model = convert(tmp_path, type_name)
    gguf_type = gguf.GGMLQuantizationType[type_name]
    for theirs, ours in OURS.items():
        expected = gguf.dequantize(gguf.quantize(random_tensors()[theirs], gguf_type), gguf_type)
        assert model.kinds[ours] == kind
        np.testing.assert_array_equal(stored_values(model)[ours], expected)


def test_every_tensor_lands_under_its_name(tmp_path: Path) -> None:
    """Every one of the 20 tensors is compared, so a swapped pair of names shows."""
    model = convert(tmp_path, "F32", tied=False)
    sources = random_tensors(tied=False)
    ours, names = stored_values(model), our_names(range(2))
    assert len(ours) == len(sources)
    for name, found in ours.items():
        same = [source for source, array in sources.items() if np.array_equal(array, found)]
        assert [names[source] for source in same] == [name]


def test_f16_becomes_bf16_only_where_that_is_exact(tmp_path: Path) -> None:
    coarse = {name: np.round(array * 64) / 64 for name, array in random_tensors().items()}
    source = write_gguf(tmp_path / "coarse.gguf", tensors=coarse, type_of=lambda name: "F16")
    import_gguf(source, tmp_path / "coarse")
    model = read_model_dir(tmp_path / "coarse")
    assert set(model.kinds.values()) == {"bf16"}
    np.testing.assert_array_equal(
        stored_values(model)[OURS["token_embd.weight"]], coarse["token_embd.weight"]
    )

    fine = convert(tmp_path, "F16")
    assert set(fine.kinds.values()) == {"f32"}
    expected = random_tensors()["token_embd.weight"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(stored_values(fine)[OURS["token_embd.weight"]], expected)


@pytest.mark.parametrize(("type_name", "kind"), [("Q5_0", "q8"), ("Q5_1", "q8")])
def test_other_types_are_quantised_again(tmp_path: Path, type_name: str, kind: Kind) -> None:
    gguf_type = gguf.GGMLQuantizationType[type_name]
    blocks = gguf.quantize(random_tensors()["token_embd.weight"], gguf_type)
    model, name = convert(tmp_path, type_name), OURS["token_embd.weight"]
    assert model.kinds[name] == kind
    expected = dequantize(quantize(gguf.dequantize(blocks, gguf_type), kind), kind)
    np.testing.assert_array_equal(stored_values(model)[name], expected)


@pytest.mark.parametrize(
    ("type_name", "kind"), [("Q2_K", "q4"), ("Q3_K", "q4"), ("Q4_K", "q4"), ("Q5_K", "q8"), ("Q6_K", "q8")]
)
def test_k_quants_are_dequantised_by_the_gguf_package(tmp_path: Path, type_name: str, kind: Kind) -> None:
    """Random blocks with small scales: the gguf package reads these types but does not write them."""
    gguf_type = gguf.GGMLQuantizationType[type_name]
    elements, nbytes = gguf.GGML_QUANT_SIZES[gguf_type]
    blocks = np.random.default_rng(7).integers(0, 256, (6, 2 * nbytes), np.uint8)
    scales = {"Q2_K": (80, 84), "Q3_K": (108, 110), "Q4_K": (0, 4), "Q5_K": (0, 4), "Q6_K": (208, 210)}
    start, end = scales[type_name]
    blocks.reshape(-1, nbytes)[:, start:end].view(np.float16)[:] = 0.01
    writer = gguf.GGUFWriter(tmp_path / "in.gguf", "llama")
    writer.add_tensor("blocks", blocks, raw_dtype=gguf_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with GgufFile(tmp_path / "in.gguf") as file:
        tensor = file.tensors["blocks"]
        assert tensor.shape == (6, 2 * elements)
        assert own_kind(tensor, "bf16") == kind
        found = read_matrix(file, tensor, kind)
    for suffix, part in quantize(gguf.dequantize(blocks, gguf_type), kind).items():
        np.testing.assert_array_equal(found[suffix], part)


@pytest.mark.model
def test_default_model_carries_over_bit_for_bit(default_gguf: Path, real_model: Path) -> None:
    """The first and the last layer, the embedding and the norms of the real file."""
    found = stored_values(read_model_dir(real_model))
    with GgufFile(default_gguf) as file:
        for theirs, ours in our_names((0, 29)).items():
            if theirs == "output.weight":  # tied
                continue
            tensor = file.tensors[theirs]
            kind = gguf.GGMLQuantizationType[tensor.type_name]
            rows = file.data(tensor).reshape(*tensor.shape[:-1], -1)
            expected = gguf.dequantize(rows if tensor.type_name != "F32" else rows.view("<f4"), kind)
            np.testing.assert_array_equal(found[ours], expected)


def test_config_and_texts(tmp_path: Path) -> None:
    model = convert(tmp_path, "Q8_0", provenance={"name": "named", "license": "MIT"})
    config = json.loads((model.path / "config.json").read_text())
    assert config["rms_norm_eps"] == 1e-5
    assert (config["hidden_size"], config["head_dim"], config["num_key_value_heads"]) == (HIDDEN, 32, 1)
    assert (config["bos_token_id"], config["eos_token_id"], config["tie_word_embeddings"]) == (1, 0, True)
    own = config["mtp_rt"]
    assert own["rope_layout"] == "interleaved"
    assert own["two_stage_head"] == {"margin": 8.0}
    assert own["quantization"] == {"layers": "q8", "lm_head": "q8"}
    assert own["source"]["name"] == "named"
    assert own["source"]["license"] == "MIT"
    assert own["source"]["file"] == "in.gguf"
    assert len(own["source"]["sha256"]) == 64
    assert (model.path / "chat_template.jinja").read_text() == metadata()["tokenizer.chat_template"]


def test_untied_output_is_the_head(tmp_path: Path) -> None:
    model = convert(tmp_path, "F32", tied=False, lm_head="q8", quantize="q4")
    assert not model.config.tied_embedding
    assert model.kinds["lm_head.weight"] == model.kinds["model.embed_tokens.weight"] == "q8"
    assert {kind for name, kind in model.kinds.items() if "layers" in name} == {"q4"}


@pytest.mark.parametrize(
    ("option", "margin"),
    [(None, 8.0), (True, 8.0), (False, None), (3.5, 3.5)],
    ids=["default", "on", "off", "3.5"],
)
def test_two_stage_head_option(tmp_path: Path, option: float | bool | None, margin: float | None) -> None:
    assert convert(tmp_path, "Q8_0", two_stage_head=option).config.two_stage_margin == margin


def test_bad_options_are_named(tmp_path: Path, tiny_gguf: Path) -> None:
    for options, words in [
        ({"quantize": "q5"}, "quantize: 'q5'"),
        ({"lm_head": "int8"}, "lm_head: 'int8'"),
        ({"two_stage_head": True}, "needs a q8 output matrix, but it is f32"),
        ({"two_stage_head": -1.0, "lm_head": "q8"}, "margin -1.0"),
        ({"two_stage_head": float("nan"), "lm_head": "q8"}, "margin nan"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            import_gguf(tiny_gguf, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_progress_counts_tensors(tmp_path: Path, tiny_gguf: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    import_gguf(tiny_gguf, tmp_path / "out", progress=lambda *call: calls.append(call))
    assert [done for _, done, _ in calls] == list(range(len(calls)))
    assert calls[-1][1] == calls[-1][2] == 20


def test_a_directory_is_only_replaced_when_asked(tmp_path: Path, tiny_gguf: Path) -> None:
    target = tmp_path / "out"
    import_gguf(tiny_gguf, target)
    with pytest.raises(ArgumentError, match="not empty"):
        import_gguf(tiny_gguf, target, quantize="q8")
    import_gguf(tiny_gguf, target, quantize="q8", replace=True)
    assert read_model_dir(target).kinds[OURS["blk.0.ffn_down.weight"]] == "q8"
