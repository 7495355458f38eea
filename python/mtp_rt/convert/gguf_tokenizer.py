"""The tokenizer in a GGUF file's metadata -> a Hugging Face tokenizers file (tokenizer.json).

A GGUF file stores vocabulary, merges and token types, but of the pre-tokenizer only a name. The definitions
below are those of the models' own tokenizer.json files; a name without one is an error, since a wrong split
gives plausible but different ids.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from mtp_rt.convert.gguf_file import GgufFile
from mtp_rt.errors import ModelFormatError, UnsupportedError

_CONTROL, _USER_DEFINED = 3, 4  # tokenizer.ggml.token_type of special and of other added tokens

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_level(use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def _sequence(first: dict[str, Any], use_regex: bool) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": [first, _byte_level(use_regex)]}


def _split(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return _sequence(split, use_regex=False)


_GPT2_SPLIT = _byte_level(use_regex=True)  # ByteLevel's built-in pattern is GPT-2's
_DIGITS_SPLIT = _sequence({"type": "Digits", "individual_digits": True}, use_regex=True)

# tokenizer.ggml.pre -> (pre-tokenizer, NFC normalisation, words of the vocabulary taken whole before merging)
_FAMILIES: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "gpt-2": (_GPT2_SPLIT, False, False),
    "smollm": (_DIGITS_SPLIT, False, False),
    "starcoder": (_DIGITS_SPLIT, False, False),
    "refact": (_DIGITS_SPLIT, False, False),
    "llama-bpe": (_split(_LLAMA3), False, True),
    "qwen2": (_split(_QWEN2), True, False),
    "deepseek-r1-qwen": (_split(_QWEN2), True, False),
    "tekken": (_split(_TEKKEN), False, True),
}
_ALIASES = {"llama3": "llama-bpe", "llama-v3": "llama-bpe"}
_INSTEAD = "import the model's Hugging Face folder instead: it has a tokenizer.json"
_BOS_BY_DEFAULT = {"llama-bpe"}  # families that prepend the start token when the file does not say


def build_tokenizer(file: GgufFile) -> str | None:
    """Return the text of tokenizer.json, or None if the file has no tokenizer.

    Raises:
        UnsupportedError: a tokenizer model or pre-tokenizer that is not in the table; names it.
        ModelFormatError: vocabulary, token types and merges contradict each other.
    """
    model = file.metadata.get("tokenizer.ggml.model")
    if model is None or model == "no_vocab":
        return None
    if model != "gpt2":
        raise UnsupportedError(
            f"{file.path}: tokenizer.ggml.model: {model!r} is not supported; supported: 'gpt2' "
            f"(byte-level BPE); {_INSTEAD}"
        )
    named = file.metadata.get("tokenizer.ggml.pre")
    family = _ALIASES.get(str(named), named)
    if family not in _FAMILIES:
        raise UnsupportedError(
            f"{file.path}: tokenizer.ggml.pre: {named!r} is not a known pre-tokenizer "
            f"({', '.join(sorted(_FAMILIES))}); {_INSTEAD}"
        )
    pre_tokenizer, nfc, ignore_merges = _FAMILIES[family]
    tokens = _strings(file, "tokenizer.ggml.tokens")
    vocabulary = {token: index for index, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        raise _error(file, "tokenizer.ggml.tokens", "holds a token twice")
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": _added_tokens(file, tokens),
            "normalizer": {"type": "NFC"} if nfc else None,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": _post_processor(file, tokens, str(family)),
            "decoder": {
                "type": "ByteLevel",
                "add_prefix_space": True,
                "trim_offsets": True,
                "use_regex": True,
            },
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": ignore_merges,
                "vocab": vocabulary,
                "merges": _merges(file, vocabulary),
            },
        },
        ensure_ascii=False,
    )


def _added_tokens(file: GgufFile, tokens: list[str]) -> list[dict[str, Any]]:
    """Control tokens are special (dropped from decoded text), user-defined ones are only matched whole."""
    key = "tokenizer.ggml.token_type"
    types = file.metadata.get(key)
    if types is None:
        return []
    if not isinstance(types, np.ndarray) or len(types) != len(tokens):
        raise _error(file, key, f"does not hold one type for each of the {len(tokens)} tokens")
    return [
        {
            "id": index,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == _CONTROL,
        }
        for index, (token, kind) in enumerate(zip(tokens, types.tolist(), strict=True))
        if kind in (_CONTROL, _USER_DEFINED)
    ]


def _merges(file: GgufFile, vocabulary: dict[str, int]) -> list[list[str]]:
    key = "tokenizer.ggml.merges"
    merges = []
    for index, merge in enumerate(_strings(file, key)):
        # The byte alphabet has no space, so the one between the halves is unambiguous.
        left, _, right = merge.partition(" ")
        if left not in vocabulary or right not in vocabulary or left + right not in vocabulary:
            raise _error(file, key, f"entry {index}, {merge[:60]!r}, does not join two tokens into a third")
        merges.append([left, right])
    return merges


def _post_processor(file: GgufFile, tokens: list[str], family: str) -> dict[str, Any]:
    """Return the step that adds the start and end tokens the model expects around a text."""
    before = _marker(file, tokens, "bos", default=family in _BOS_BY_DEFAULT)
    after = _marker(file, tokens, "eos", default=False)
    if not before and not after:
        return _byte_level(use_regex=True)
    single: list[dict[str, Any]] = [{"Sequence": {"id": "A", "type_id": 0}}]
    single = [{"SpecialToken": {"id": token, "type_id": 0}} for token in before] + single
    single += [{"SpecialToken": {"id": token, "type_id": 0}} for token in after]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    specials = {
        token: {"id": token, "ids": [index], "tokens": [token]} for token, index in (before | after).items()
    }
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials}


def _marker(file: GgufFile, tokens: list[str], role: str, default: bool) -> dict[str, int]:
    """Return {token: id} of the start or end token if texts get it, else nothing."""
    index = file.metadata.get(f"tokenizer.ggml.{role}_token_id")
    if not file.metadata.get(f"tokenizer.ggml.add_{role}_token", default) or index is None:
        return {}
    if not isinstance(index, int) or not 0 <= index < len(tokens):
        raise _error(
            file, f"tokenizer.ggml.{role}_token_id", f"is {index!r}, not an id of the {len(tokens)} tokens"
        )
    return {tokens[index]: index}


def _strings(file: GgufFile, key: str) -> list[str]:
    value = file.metadata.get(key)
    if not isinstance(value, list):
        raise _error(file, key, "is missing or not a list of strings")
    return value


def _error(file: GgufFile, key: str, problem: str) -> ModelFormatError:
    return ModelFormatError(str(file.path), key, problem)
