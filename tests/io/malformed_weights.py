"""Bad directories whose model.safetensors is at fault."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from malformed_case import CONFIG_FILE, WEIGHTS_FILE, Case, file_cases
from tiny_dirs import Draft, tiny_draft

LAYER = "model.layers.0"
NORM = "model.norm.weight"  # F32 [64]
PLAIN = f"{LAYER}.self_attn.o_proj.weight"  # F32 [64, 64]
HALF = f"{LAYER}.self_attn.v_proj.weight"  # BF16 [32, 64]
Q4 = f"{LAYER}.mlp.up_proj.weight"  # q4 [96, 64]
Q8 = "lm_head.weight"  # q8 [33, 64]
LAST = list(tiny_draft().header)[-1]


def weights(name: str, field: str, change: Callable[[Draft], object]) -> Case:
    return Case(name, WEIGHTS_FILE, field, change)


def raw(name: str, file: Callable[[bytes], bytes], field: str = "header") -> Case:
    """The whole file is what `file` makes of the good one."""
    return weights(name, field, lambda draft: setattr(draft, "weights", file(draft.file())))


def header(name: str, old: bytes, new: bytes, field: str = "header") -> Case:
    """`new` stands for the first `old` in the header's text."""

    def change(draft: Draft) -> None:
        text = json.dumps(draft.header).encode()
        assert old in text
        draft.header_text = text.replace(old, new, 1)
        draft.header_text += b" " * (-len(draft.header_text) % 8)

    return weights(name, field, change)


def entry(tensor: str, name: str, change: Callable[[dict[str, Any]], object]) -> Case:
    """One tensor's header entry is changed."""
    return weights(f"{name}: {tensor}", tensor, lambda draft: change(draft.header[tensor]))


def claims(length: int) -> Case:
    return raw(f"header length {length}", lambda file: struct.pack("<Q", length) + file[8:])


def number(tensor: str, index: int, bits: int) -> Case:
    """Element `index` of a half-precision tensor has these bits."""

    def change(draft: Draft) -> None:
        struct.pack_into("<H", draft.data, draft.header[tensor]["data_offsets"][0] + 2 * index, bits)

    return weights(f"{tensor}[{index}] = {bits:#06x}", tensor, change)


def shifted(draft: Draft, by: int) -> None:
    """The data start `by` bytes behind a multiple of 8."""
    text = json.dumps(draft.header).encode()
    draft.header_text = text + b" " * (-len(text) % 8 + by)


def offsets(tensor: str, *, begin: int = 0, end: int = 0) -> Callable[[dict[str, Any]], object]:
    return lambda e: e.update(data_offsets=[e["data_offsets"][0] + begin, e["data_offsets"][1] + end])


HEADER_CASES = [
    raw("7 bytes", lambda file: file[:7]),
    raw("8 bytes", lambda file: file[:8]),
    raw("no header", lambda file: bytes(8), "header"),
    raw("pickle", lambda file: b"\x80\x02}q\x00." + file),
    raw("GGUF", lambda file: b"GGUF\x03\0\0\0" + file),
    *(claims(length) for length in (0, 1, 10**6, 2**24 + 1, 2**31, 2**32, 2**63, 2**64 - 8, 2**64 - 1)),
    raw("leading space", lambda file: file[:8] + b" " + file[9:]),
    raw("a list", lambda file: struct.pack("<Q", 8) + b"[]      "),
    raw("only a brace", lambda file: struct.pack("<Q", 8) + b"{       "),
    raw("one byte cut off", lambda file: file[:-1], LAST),
    weights("all data cut off", f"{Q8}.q8", lambda draft: draft.data.clear()),
    raw("one byte more", lambda file: file + b"\0"),
    raw("a file appended", lambda file: file + file),
    header("padded with NUL", b"}}", b"}}" + bytes(8)),
    header("2 million values", b"{", b'{"x":[' + b"0," * 2_000_000 + b"0],"),
    header("100,000 objects in a list", b"{", b'{"x":[' + b'{"a":0},' * 100_000 + b"0],", "x"),
    header("200,000 levels", b"{", b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b","),
    weights("data at an odd byte", f"{Q8}.scale", lambda draft: shifted(draft, 1)),
    weights("data at 2 mod 4", f"{LAYER}.input_layernorm.weight", lambda draft: shifted(draft, 2)),
    header("key twice in an entry", b'"dtype": "F32"', b'"dtype": "F32", "dtype": "F32"', "dtype"),
    header("tensor twice", b'{"model', f'{{"{NORM}": {{}}, "model'.encode(), NORM),
    header("NaN", b"[64]", b"[NaN]"),
    header("invalid UTF-8", NORM.encode(), b"\xff\xfe"),
    header("empty name", NORM.encode(), b""),
    header("long name", NORM.encode(), b"n" * 257),
    header("name with an escape sequence", NORM.encode(), b"\\u001b[2J"),
    header("name beyond ASCII", NORM.encode(), "größe".encode()),
    header("name with a NUL", NORM.encode(), NORM.encode() + b"\\u0000"),
    weights("metadata list", "__metadata__", lambda draft: draft.header.update(__metadata__=[])),
    weights("metadata number", "__metadata__", lambda draft: draft.header.update(__metadata__={"format": 1})),
]

BAD_SHAPES = ([-64], [64.0], ["64"], [True], [None], [2**63], [2**64 + 64], 64, "64", {}, None, [1] * 9)
BAD_OFFSETS = (
    [0],
    [0, 256, 512],
    [-256, 0],
    [0.0, 256.0],
    ["0", "256"],
    0,
    None,
    {},
    [0, 2**63],
    [0, 2**64 + 256],
)

ENTRY_CASES = [
    *(
        weights(f"entry {value}", NORM, lambda d, v=value: d.header.update({NORM: v}))
        for value in (None, 1, [], "F32")
    ),
    *(entry(NORM, f"without {key}", lambda e, k=key: e.pop(k)) for key in ("dtype", "shape", "data_offsets")),
    *(
        entry(NORM, f"dtype {dtype}", lambda e, d=dtype: e.update(dtype=d))
        for dtype in ("F64", "I64", "BOOL", "F8_E4M3", "f32", "", 4, None, ["F32"])
    ),
    *(entry(NORM, f"shape {shape}", lambda e, s=shape: e.update(shape=s)) for shape in BAD_SHAPES),
    *(
        entry(NORM, f"offsets {range_}", lambda e, r=range_: e.update(data_offsets=r))
        for range_ in BAD_OFFSETS
    ),
    entry(NORM, "unknown key", lambda e: e.update(stride=[1])),
    entry(NORM, "backwards", lambda e: e.update(data_offsets=e["data_offsets"][::-1])),
    entry(NORM, "product wraps to 0", lambda e: e.update(shape=[2**32, 2**32], data_offsets=[0, 0])),
    entry(NORM, "product wraps to 64", lambda e: e.update(shape=[2**63 - 1, 2, 2, 2**62 + 1])),
    entry(NORM, "bytes wrap to 256", lambda e: e.update(shape=[2**62 + 64])),
    entry(NORM, "bytes wrap to 0", lambda e: e.update(shape=[2**62], data_offsets=[0, 0])),
    entry(NORM, "empty shape with bytes", lambda e: e.update(shape=[0, 64])),
    entry(NORM, "one element short", lambda e: e.update(shape=[63])),
    entry(NORM, "scalar", lambda e: e.update(shape=[])),
    entry(LAST, "ends one byte late", offsets(LAST, end=1)),
    entry(LAST, "ends 4 GiB late", offsets(LAST, end=2**32)),
    entry(LAST, "begins one byte early", offsets(LAST, begin=-1)),
]


def share(draft: Draft) -> None:
    """The second tensor of equal size uses the first one's bytes; its own are left to nobody."""
    draft.header[f"{Q4}.scale"]["data_offsets"] = list(draft.header[f"{Q4}.min"]["data_offsets"])


def hole(draft: Draft) -> None:
    """64 bytes before the last tensor belong to nobody."""
    begin, end = draft.header[LAST]["data_offsets"]
    draft.data[begin:begin] = bytes(64)
    draft.header[LAST]["data_offsets"] = [begin + 64, end + 64]


def overlap(draft: Draft) -> None:
    """The last tensor starts 64 bytes inside the one before it."""
    begin, end = draft.header[LAST]["data_offsets"]
    del draft.data[begin - 64 : begin]
    draft.header[LAST]["data_offsets"] = [begin - 64, end - 64]


def border(draft: Draft) -> None:
    """The norm takes an element from the matrix behind it; both keep their shapes."""
    draft.header[NORM]["data_offsets"][1] += 4
    draft.header[PLAIN]["data_offsets"][0] += 4


def reshaped(tensor: str, dtype: str, shape: list[int]) -> Case:
    def change(draft: Draft) -> None:
        draft.remove(tensor)
        draft.append(tensor, dtype, shape)

    return weights(f"{tensor} {dtype} {shape}", tensor, change)


LAYOUT_CASES = [
    weights("shared bytes", f"{Q4}.scale", share),
    weights("hole", LAST, hole),
    weights("overlap", LAST, overlap),
    weights("border moved", PLAIN, border),
    weights("nobody's bytes at the end", "header", lambda draft: draft.data.extend(bytes(64))),
    *(
        weights(f"without {name}", name, lambda d, n=name: d.remove(n))
        for name in (NORM, PLAIN, f"{Q8}.scale")
    ),
    *(
        weights(f"without {name}", name, lambda d, n=name: d.remove(n))
        for name in (f"{Q4}.min", f"{Q4}.scale")
    ),
    weights("without .q4", Q4, lambda draft: draft.remove(f"{Q4}.q4")),
    weights(
        "no tensors",
        f"{LAYER}.input_layernorm.weight",
        lambda d: (d.header.clear(), d.data.clear()),
    ),
    weights("a bias", f"{PLAIN}.bias", lambda draft: draft.append(f"{PLAIN}.bias", "F32", [64])),
    weights(
        "a second layer",
        "model.layers.1.mlp.up_proj.weight",
        lambda d: d.append("model.layers.1.mlp.up_proj.weight", "F32", [96, 64]),
    ),
    weights(
        "one layer of two",
        "model.layers.1.input_layernorm.weight",
        lambda d: d.config.update(num_hidden_layers=2),
    ),
    weights("q8 with a minimum", f"{Q8}.min", lambda draft: draft.append(f"{Q8}.min", "F16", [33, 2])),
    weights("tied, with a head", f"{Q8}.q8", lambda draft: draft.config.update(tie_word_embeddings=True)),
    weights("q8 and f32", Q8, lambda draft: draft.append(Q8, "F32", [33, 64])),
    weights("q8 and q4", Q8, lambda draft: draft.append(f"{Q8}.q4", "U8", [33, 32])),
    weights("zero-size tensor", "nothing", lambda draft: draft.append("nothing", "F32", [0, 64])),
    reshaped(NORM, "F16", [64]),
    reshaped(NORM, "F32", [1, 64]),
    reshaped(NORM, "F32", [65]),
    reshaped(PLAIN, "F16", [64, 64]),
    reshaped(PLAIN, "U8", [64, 64]),
    reshaped(PLAIN, "F32", [4096]),
    reshaped(PLAIN, "F32", [32, 128]),
    reshaped(HALF, "BF16", [64, 32]),
    reshaped(f"{Q8}.q8", "U8", [33, 64]),
    reshaped(f"{Q8}.q8", "I8", [64, 33]),
    reshaped(f"{Q8}.scale", "BF16", [33, 2]),
    reshaped(f"{Q8}.scale", "F16", [33, 4]),
    reshaped(f"{Q4}.q4", "I8", [96, 32]),
    reshaped(f"{Q4}.q4", "U8", [96, 64]),
    reshaped(f"{Q4}.min", "F32", [96, 2]),
    reshaped(f"{Q4}.min", "F16", [2, 96]),
    *(number(f"{Q4}.scale", i, bits) for i, bits in ((0, 0x7C00), (191, 0xFC00), (100, 0x7E00), (7, 0xFFFF))),
    *(number(f"{Q4}.min", i, bits) for i, bits in ((0, 0x7C01), (191, 0xFD00))),
    number(f"{Q8}.scale", 65, 0x7FFF),
]


def plain_output(draft: Draft) -> None:
    for part in ("q8", "scale"):
        draft.remove(f"{Q8}.{part}")
    draft.append(Q8, "F32", [33, 64])


# Both files are sound alone.
CROSS_CASES = [Case("two stages without q8", CONFIG_FILE, "mtp_rt.two_stage_head", plain_output)]

WEIGHTS_CASES = [*file_cases(WEIGHTS_FILE), *HEADER_CASES, *ENTRY_CASES, *LAYOUT_CASES, *CROSS_CASES]
