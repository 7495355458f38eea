"""config.json and the texts of a Hugging Face Llama folder -> those of a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mtp_rt.errors import ModelFormatError, UnsupportedError
from mtp_rt.model_dir.json_text import parse_json_object

_MAX_JSON_BYTES = 256 * 1024 * 1024
_CARRIED = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "attention_bias",
    "mlp_bias",
)
# transformers leaves out what equals its defaults: these are LlamaConfig's.
_DEFAULTS: dict[str, Any] = {
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}
_TEXTS = ("tokenizer.json", "generation_config.json")
_OTHER_TOKENIZERS = ("tokenizer.model", "vocab.json", "vocab.txt")


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json (without the key "mtp_rt"); ranges are checked by whoever parses it.

    Raises:
        ModelFormatError: a file is missing or damaged.
        UnsupportedError: another architecture, scaled rotary embeddings, or weights that are quantised.
    """
    path = folder / "config.json"
    theirs = _read_json(path)
    if theirs is None:
        raise ModelFormatError(str(path), "", "is missing: this is no Hugging Face model folder")
    if theirs.get("model_type") != "llama":
        raise UnsupportedError(
            f"{path}: model_type: {theirs.get('model_type')!r} is not supported; supported: 'llama'"
        )
    if theirs.get("quantization_config") is not None:
        raise UnsupportedError(f"{path}: quantization_config: import the unquantised model and pass quantize")
    tokenizer = _read_json(folder / "tokenizer_config.json") or {}
    generation = _read_json(folder / "generation_config.json") or {}
    ours: dict[str, Any] = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    ours |= {key: theirs[key] for key in _CARRIED if theirs.get(key) is not None}
    ours |= {key: theirs.get(key, default) for key, default in _DEFAULTS.items()}
    heads = theirs.get("num_attention_heads")
    ours["num_key_value_heads"] = theirs.get("num_key_value_heads") or heads
    hidden = theirs.get("hidden_size")
    if theirs.get("head_dim") is not None:
        ours["head_dim"] = theirs["head_dim"]
    elif isinstance(hidden, int) and isinstance(heads, int) and heads > 0 and hidden % heads == 0:
        ours["head_dim"] = hidden // heads
    ours["rope_theta"] = _rope_theta(path, theirs)
    ours["rope_scaling"] = None
    ours["bos_token_id"] = theirs.get("bos_token_id")
    ours["eos_token_id"] = _stop_ids(folder, tokenizer, theirs, generation)
    return ours


def read_texts(folder: Path) -> dict[str, bytes | Path]:
    """Return the files to copy along: tokenizer, generation settings, chat template.

    Raises:
        UnsupportedError: the tokenizer is not in the tokenizers library's format.
        ModelFormatError: the chat template is not text.
    """
    texts: dict[str, bytes | Path] = {name: folder / name for name in _TEXTS if (folder / name).is_file()}
    if "tokenizer.json" not in texts:
        other = next((name for name in _OTHER_TOKENIZERS if (folder / name).exists()), None)
        if other is not None:
            raise UnsupportedError(
                f"{folder}: has {other} but no tokenizer.json; write one with "
                "transformers.AutoTokenizer.from_pretrained(...).save_pretrained(...)"
            )
    if (folder / "chat_template.jinja").is_file():
        texts["chat_template.jinja"] = folder / "chat_template.jinja"
        return texts
    path = folder / "tokenizer_config.json"
    template = (_read_json(path) or {}).get("chat_template")
    if isinstance(template, list):  # several named ones: the default one is for plain conversations
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if isinstance(template, str):
        texts["chat_template.jinja"] = template.encode()
    elif template is not None:
        raise ModelFormatError(str(path), "chat_template", "is neither text nor a list of named texts")
    return texts


def _rope_theta(path: Path, config: dict[str, Any]) -> Any:
    """Return the base of the rotary embedding; transformers 5 keeps it in rope_parameters."""
    theta = config.get("rope_theta", 10_000.0)
    for key in ("rope_scaling", "rope_parameters"):
        rope = config.get(key)
        if rope is None:
            continue
        kind = rope.get("rope_type", rope.get("type", "default")) if isinstance(rope, dict) else rope
        if kind != "default":
            raise UnsupportedError(f"{path}: {key}: {kind!r} is not supported; supported: 'default'")
        theta = rope.get("rope_theta", theta)
        if rope.get("partial_rotary_factor", 1) != 1:
            raise UnsupportedError(f"{path}: {key}: partial rotation is not supported")
    return theta


def _stop_ids(
    folder: Path, tokenizer: dict[str, Any], config: dict[str, Any], generation: dict[str, Any]
) -> list[int] | int | None:
    """Return every id that ends generation; the tokenizer's first, which templates call eos_token."""
    ids: list[Any] = [_id_of(folder, tokenizer.get("eos_token"))]
    for source in (config, generation):
        value = source.get("eos_token_id")
        ids += value if isinstance(value, list) else [value]
    unique = list(dict.fromkeys(token for token in ids if isinstance(token, int)))
    if len(unique) < 2:
        return unique[0] if unique else None
    return unique


def _id_of(folder: Path, token: Any) -> int | None:
    """Return the id that tokenizer.json gives to an added token."""
    content = token.get("content") if isinstance(token, dict) else token
    for entry in (_read_json(folder / "tokenizer.json") or {}).get("added_tokens") or []:
        if isinstance(entry, dict) and entry.get("content") == content and isinstance(entry.get("id"), int):
            return int(entry["id"])
    return None


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return the object a file holds, or None if there is no such file."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ModelFormatError(str(path), "", f"is larger than {_MAX_JSON_BYTES} bytes")
        return parse_json_object(path.read_bytes(), str(path), "")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelFormatError(str(path), "", f"cannot be read: {error.strerror}") from error
