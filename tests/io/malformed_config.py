"""Bad directories whose config.json is at fault."""

from __future__ import annotations

import json
from typing import Any

from malformed_case import CONFIG_FILE, Case, file_cases
from tiny_dirs import CONFIG, Draft

from mtp_rt.errors import UnsupportedError

GONE = object()
GOOD_TEXT = json.dumps(CONFIG).encode()


def text(name: str, content: bytes, field: str = "") -> Case:
    return Case(name, CONFIG_FILE, field, lambda draft: setattr(draft, "config_text", content))


def replaced(name: str, old: bytes, new: bytes, field: str = "") -> Case:
    assert GOOD_TEXT.count(old) == 1
    return text(name, GOOD_TEXT.replace(old, new), field)


def value(path: str, content: Any, field: str | None = None, **options: Any) -> Case:
    """The key at `path` holds `content`, or is GONE."""

    def change(draft: Draft) -> None:
        *parents, key = path.split(".")
        where = draft.config
        for parent in parents:
            where = where[parent]
        if content is GONE:
            del where[key]
        else:
            where[key] = content

    shown = "gone" if content is GONE else json.dumps(content)[:40]
    return Case(f"{path} {shown}", CONFIG_FILE, path if field is None else field, change, **options)


def values(path: str, *contents: Any, field: str | None = None) -> list[Case]:
    return [value(path, content, field) for content in contents]


TEXT_CASES = [
    text("truncated", GOOD_TEXT[:-1]),
    text("two objects", GOOD_TEXT + b"{}"),
    text("text behind a NUL", GOOD_TEXT + b"\0{}"),
    text("byte order mark", b"\xef\xbb\xbf" + GOOD_TEXT),
    text("UTF-16", GOOD_TEXT.decode().encode("utf-16")),
    text("a list", b"[" + GOOD_TEXT + b"]"),
    text("a string", b'"config"'),
    text("a number", b"1"),
    text("not JSON", b"hidden_size: 64"),
    text("single quotes", GOOD_TEXT.replace(b'"', b"'")),
    text("over 1 MiB", GOOD_TEXT + b" " * (1 << 20)),
    text("64 levels below the top", b'{"x":' + b"[" * 64 + b"]" * 64 + b"," + GOOD_TEXT[1:]),
    text("200,000 levels", b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"," + GOOD_TEXT[1:]),
    text("200,000 levels never closed", b'{"x":' + b'{"x":' * 100_000),
    replaced("a comment", b'"vocab_size"', b'/* */ "vocab_size"'),
    replaced("a trailing comma", b"[1, 32]", b"[1, 32,]"),
    replaced("invalid UTF-8", b"nothing", b"\xff\xfe"),
    replaced("overlong UTF-8", b"nothing", b"\xc0\xaf"),
    replaced("a lone surrogate", b"nothing", b"\\ud800"),
    replaced("a lone surrogate in a key", b'"vocab_size": 33', b'"\\udc00": 1, "vocab_size": 33'),
    replaced("a control character", b"nothing", b"no\nthing"),
    replaced("an unknown escape", b"nothing", b"\\x41"),
    replaced("NaN", b"1e-05", b"NaN"),
    replaced("Infinity", b"10000.0", b"Infinity"),
    replaced("beyond double precision", b"10000.0", b"1e999"),
    replaced("a 400-digit integer", b'"vocab_size"', b'"x": ' + b"9" * 400 + b', "vocab_size"'),
    replaced("a 9,000-digit integer", b'"vocab_size"', b'"x": ' + b"9" * 9000 + b', "vocab_size"'),
    replaced("a leading zero", b'"vocab_size": 33', b'"vocab_size": 033'),
    replaced("hexadecimal", b'"vocab_size": 33', b'"vocab_size": 0x21'),
    replaced("key twice", b'"vocab_size"', b'"hidden_size": 64, "vocab_size"', "hidden_size"),
    replaced("unknown key twice", b'"vocab_size"', b'"x": 1, "x": 1, "vocab_size"', "x"),
    replaced("inner key twice", b'"margin": 8.0', b'"margin": 8.0, "margin": 9.0', "margin"),
    replaced("key twice, once escaped", b'"margin": 8.0', b'"margin": 8.0, "m\\u0061rgin": 9.0', "margin"),
]

NEEDED = (
    *("architectures", "model_type", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "vocab_size", "max_position_embeddings"),
    *("mtp_rt", "mtp_rt.format_version", "mtp_rt.rope_layout", "mtp_rt.two_stage_head.margin"),
)
NOT_AN_INTEGER = ("64", 64.0, True, [64], {}, -64, 0, 2**31, 2**32 + 64, 2**63, 2**64 + 64, 10**30)

VALUE_CASES = [
    *(value(path, content) for path in NEEDED for content in (GONE, None)),
    *values("hidden_size", *NOT_AN_INTEGER, 33, 48, 65568),
    *values("intermediate_size", *NOT_AN_INTEGER, 100),
    *values("num_hidden_layers", *NOT_AN_INTEGER, 1025),
    *values("num_attention_heads", *NOT_AN_INTEGER, 1025),
    *values("num_key_value_heads", *NOT_AN_INTEGER, 3),
    *values("head_dim", *NOT_AN_INTEGER, 48, 16, 544),
    *values("vocab_size", *NOT_AN_INTEGER, 1, 1048577),
    *values("max_position_embeddings", *NOT_AN_INTEGER, 1048577),
    *values("rms_norm_eps", "1e-5", True, [], 0, -1e-5, 1e-300, 0.11),
    *values("rope_theta", "1e4", False, {}, 0, -1, 0.5, 1e13, 10**30),
    *values("tie_word_embeddings", 0, "false", []),
    *values("attention_bias", 0, "false"),
    *values("bos_token_id", "0", [0], -1, 33, 1.0, True, 2**32),
    *values("eos_token_id", "1", -1, 33, 1.0, True, [], [1, 33], [1, "2"], [[1]], [1] * 65),
    *values("architectures", [], "LlamaForCausalLM", [1], ["LlamaForCausalLM"] * 2),
    *values("model_type", 1, ["llama"]),
    *values("mtp_rt", [], "1", 1),
    *values("mtp_rt.format_version", 0, -1, "1", 1.0),
    value("mtp_rt.heads", 2),
    value("mtp_rt.\x1b[2J", 2, "mtp_rt.?[2J"),
    *values("mtp_rt.rope_layout", "other", 1),
    *values("mtp_rt.two_stage_head", True, 8, []),
    value("mtp_rt.two_stage_head.rows", 8),
    *values("mtp_rt.two_stage_head.margin", 0, -1, 101, "8", True),
    *values("mtp_rt.quantization", "q4", []),
    *values("mtp_rt.quantization.layers", "q5", 4),
    value("mtp_rt.quantization.embedding", "q8"),
    *values("mtp_rt.source", "file", []),
    value("mtp_rt.source.sha256", 12),
    value("mtp_rt.source.url", "x"),
    Case(
        "2 KV heads for 3 heads",
        CONFIG_FILE,
        "num_key_value_heads",
        lambda draft: draft.config.update(num_attention_heads=3, num_key_value_heads=2),
    ),
    Case(
        "head_dim gone, no quotient",
        CONFIG_FILE,
        "head_dim",
        lambda draft: (draft.config.pop("head_dim"), draft.config.update(num_attention_heads=3)),
    ),
    Case(
        "head_dim gone, quotient 16",
        CONFIG_FILE,
        "head_dim",
        lambda draft: (draft.config.pop("head_dim"), draft.config.update(num_attention_heads=4)),
    ),
]

UNSUPPORTED_CASES = [
    value(path, content, error=UnsupportedError)
    for path, content in (
        ("architectures", ["MistralForCausalLM"]),
        ("model_type", "mistral"),
        ("rope_scaling", {"type": "linear", "factor": 2.0}),
        ("rope_scaling", False),
        ("hidden_act", "gelu"),
        ("hidden_act", 1),
        ("attention_bias", True),
        ("mlp_bias", True),
        ("mtp_rt.format_version", 2),
    )
]

CONFIG_CASES = [*file_cases(CONFIG_FILE), *TEXT_CASES, *VALUE_CASES, *UNSUPPORTED_CASES]
