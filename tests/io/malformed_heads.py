"""Bad directories whose extra heads are at fault, in config.json or in model.safetensors."""

from __future__ import annotations

import dataclasses
import struct
from functools import partial
from typing import Any

from malformed_case import Case
from malformed_config import GONE, NOT_AN_INTEGER, value
from malformed_weights import reshaped, weights
from tiny_dirs import BLOCK_HEADS, HEADS, OWN_HEADS, Draft, tiny_draft, with_heads

AT = "mtp_rt.heads"
DRAFT_IDS = "heads.draft_ids"  # I32 [32], ids of a vocabulary of 33
UNEMBED = "heads.unembed.weight"


def with_residual(case: Case) -> Case:
    return dataclasses.replace(case, draft=partial(tiny_draft, with_heads(HEADS)))


def with_blocks(case: Case) -> Case:
    case = dataclasses.replace(case, name=f"blocks: {case.name}")
    return dataclasses.replace(case, draft=partial(tiny_draft, with_heads(BLOCK_HEADS)))


def with_own(case: Case) -> Case:
    case = dataclasses.replace(case, name=f"own output matrices: {case.name}")
    return dataclasses.replace(case, draft=partial(tiny_draft, with_heads(OWN_HEADS)))


def values(key: str, *contents: Any) -> list[Case]:
    return [value(f"{AT}.{key}", content) for content in contents]


def ids(name: str, changes: dict[int, int]) -> Case:
    """Entries of the draft vocabulary hold other ids."""

    def change(draft: Draft) -> None:
        begin = draft.header[DRAFT_IDS]["data_offsets"][0]
        for index, token in changes.items():
            struct.pack_into("<i", draft.data, begin + 4 * index, token)

    return weights(f"draft ids {name}", DRAFT_IDS, change)


def first_two_swapped(draft: Draft) -> None:
    begin = draft.header[DRAFT_IDS]["data_offsets"][0]
    first, second = struct.unpack_from("<2i", draft.data, begin)
    struct.pack_into("<2i", draft.data, begin, second, first)


CONFIG_CASES = [
    *values("count", GONE, *NOT_AN_INTEGER, 16),
    *values("preset", 1, ["recurrent"]),
    *values("wiring", GONE, "serial", 1, ["sequential"]),
    *values("body", GONE, "mlp", True),
    *values("shared", 1, "true"),
    *values("intermediate_size", GONE, *NOT_AN_INTEGER, 48, 65568),
    *values("taps", "0", 0, [1], [-1], [0.0], ["0"], [True], [0, 0], [[0]], list(range(9))),
    *values("draft_vocab_size", 31, 33, 64, 16, "32", 32.0, True, []),
    *values("unembedding", "both", "Own", "", 1, True, ["own"], {}),
    value(f"{AT}.unembedding", "own"),  # of a shared module
    *values("output_norm", 1, "no"),
    *values("window", 16),
    *values(
        "acceptance", 0.5, [], [0.5], [0.5] * 4, [0.5, 0.5, 1.5], [0.5, -0.1, 0], [0.5, "1", 0], [True] * 3
    ),
    *values("quantization", "q4", []),
    *values("quantization.heads", "q5", 4),
    value(f"{AT}.quantization.body", "q4"),
    value(f"{AT}.depth", 3),
    value(f"{AT}.wiring", "parallel", f"{AT}.shared"),
    value(f"{AT}.body", "linear", f"{AT}.intermediate_size"),
]

WEIGHTS_CASES = [
    *(
        weights(f"without {name}", name, lambda draft, n=name: draft.remove(n))
        for name in (
            DRAFT_IDS,
            "heads.0.state_norm.weight",
            "heads.0.embed_norm.weight",
            "heads.0.norm.weight",
            "heads.0.mlp.gate_proj.weight.min",
        )
    ),
    weights("without fuse", "heads.fuse.weight", lambda draft: draft.remove("heads.fuse.weight.q4")),
    weights("a second module", "heads.1.norm.weight", lambda d: d.append("heads.1.norm.weight", "F32", [64])),
    weights(
        "a linear body too",
        "heads.0.linear.weight",
        lambda d: d.append("heads.0.linear.weight", "F32", [64, 128]),
    ),
    reshaped(DRAFT_IDS, "F32", [32]),
    reshaped(DRAFT_IDS, "I32", [33]),
    reshaped(DRAFT_IDS, "I32", [1, 32]),
    reshaped("heads.0.mlp.gate_proj.weight.q4", "U8", [32, 32]),
    reshaped("heads.0.mlp.down_proj.weight.q4", "U8", [32, 32]),
    reshaped("heads.fuse.weight.scale", "F16", [64, 4]),
    weights("draft ids out of order", DRAFT_IDS, first_two_swapped),
    ids("twice the same", {0: 5, 1: 5}),
    ids("negative", {0: -1}),
    ids("beyond the vocabulary", {31: 33}),
    ids("far beyond it", {31: 2**31 - 1}),
    weights(
        "unembedding for another draft vocabulary",
        f"{UNEMBED}.q4",
        lambda d: (d.remove(f"{UNEMBED}.q4"), d.append(f"{UNEMBED}.q4", "U8", [64, 32])),
    ),
    weights(
        "heads that config.json does not name",
        "heads.0.embed_norm.weight",
        lambda d: d.config["mtp_rt"].pop("heads"),
    ),
    weights(
        "a state per head wanted",
        "heads.1.state_norm.weight",
        lambda d: d.config["mtp_rt"]["heads"].update(shared=False),
    ),
]

BLOCK_CASES = [
    *(value(f"{AT}.window", content) for content in (*NOT_AN_INTEGER, 1048577)),
    weights(
        "without keys",
        "heads.1.self_attn.k_proj.weight",
        lambda d: d.remove("heads.1.self_attn.k_proj.weight.q4"),
    ),
    weights(
        "without a gain",
        "heads.0.input_layernorm.weight",
        lambda d: d.remove("heads.0.input_layernorm.weight"),
    ),
    weights(
        "without input_proj", "heads.0.input_proj.weight", lambda d: d.remove("heads.0.input_proj.weight.q4")
    ),
    weights(
        "MLP of another width",
        "heads.0.mlp.gate_proj.weight.q4",
        lambda d: d.config["mtp_rt"]["heads"].update(intermediate_size=32),
    ),
]

OWN_UNEMBED = "heads.1.unembed.weight"
OWN_CASES = [
    *values("unembedding", "on"),
    weights("without the second", OWN_UNEMBED, lambda d: d.remove(f"{OWN_UNEMBED}.q4")),
    weights("without the scales of one", f"{OWN_UNEMBED}.scale", lambda d: d.remove(f"{OWN_UNEMBED}.scale")),
    weights("without ids", DRAFT_IDS, lambda d: d.remove(DRAFT_IDS)),
    reshaped(f"{OWN_UNEMBED}.q4", "U8", [16, 64]),
    weights(
        "of all tokens",
        "heads.0.unembed.weight.q4",
        lambda d: (
            d.remove("heads.0.unembed.weight.q4"),
            d.append("heads.0.unembed.weight.q4", "U8", [33, 32]),
        ),
    ),
    weights("one of all heads too", UNEMBED, lambda d: d.append(UNEMBED, "F32", [32, 64])),
    weights(
        "of a third head",
        "heads.2.unembed.weight",
        lambda d: d.append("heads.2.unembed.weight", "F32", [32, 64]),
    ),
    weights(
        "wanted of all heads", UNEMBED, lambda d: d.config["mtp_rt"]["heads"].update(unembedding="shared")
    ),
    weights("not mentioned", UNEMBED, lambda d: d.config["mtp_rt"]["heads"].pop("unembedding")),
]

HEADS_CASES = [
    *map(with_residual, CONFIG_CASES + WEIGHTS_CASES),
    *map(with_blocks, BLOCK_CASES),
    *map(with_own, OWN_CASES),
]
