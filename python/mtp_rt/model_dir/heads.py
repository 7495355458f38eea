"""The description of extra heads: heads that draft the tokens behind the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from mtp_rt.model_dir.json_text import JsonFields, describe, is_integer

Wiring = Literal["parallel", "chained", "sequential"]
Body = Literal["linear", "residual", "block"]
Unembedding = Literal["shared", "own"]

WIRINGS: tuple[Wiring, ...] = ("parallel", "chained", "sequential")
BODIES: tuple[Body, ...] = ("linear", "residual", "block")
UNEMBEDDINGS: tuple[Unembedding, ...] = ("shared", "own")
MAX_HEADS = 15
MAX_TAPS = 8
_Choice = TypeVar("_Choice", bound=str)


@dataclass(frozen=True)
class HeadsConfig:
    """`mtp_rt.heads` of config.json; docs/model_dir.md says what each field means.

    `dataclasses.asdict` gives the JSON form back.

    Attributes:
        preset: informative.
        count: extra heads.
        wiring: what a head reads: the trunk's state, the state of the head before it, or that state and the
            token just drafted.
        body: what it computes.
        shared: one module, applied again and again.
        intermediate_size: width of a residual's or block's MLP.
        taps: layers whose outputs are read in place of the final state, ascending.
        draft_vocab_size: tokens that the heads score; None: all.
        output_norm: whether a norm follows each head.
        window: positions that a block attends back to; None: all.
        acceptance: chance of draft k where the drafts before it stood, measured before; [count].
        quantization: informative: kinds of the matrices, by "heads" and "unembed".
        unembedding: "own": each module has an output matrix; "shared": all have one of the draft vocabulary,
            or without such the trunk's.
    """

    preset: str | None
    count: int
    wiring: Wiring
    body: Body
    shared: bool
    intermediate_size: int | None
    taps: tuple[int, ...]
    draft_vocab_size: int | None
    output_norm: bool
    window: int | None
    acceptance: tuple[float, ...] | None
    quantization: Mapping[str, str] | None
    unembedding: Unembedding = "shared"

    @property
    def modules(self) -> int:
        """Sets of weights: one where the heads share it."""
        return 1 if self.shared else self.count


def read_heads(fields: JsonFields, *, layers: int, vocab_size: int) -> HeadsConfig:
    """Return the heads that the fields describe, for a trunk of these sizes.

    Raises:
        ModelFormatError: a missing, mistyped, out-of-range or inconsistent field.
    """
    fields.allow_only(HeadsConfig.__dataclass_fields__)
    preset = None if fields.find("preset") is None else fields.string("preset")
    count = fields.integer("count", 1, MAX_HEADS)
    wiring = _one_of(fields, "wiring", WIRINGS)
    body = _one_of(fields, "body", BODIES)
    shared = fields.boolean("shared", False)
    if shared and wiring == "parallel":
        fields.fail("shared", "is true, but parallel heads would all be the same; set it to false")
    intermediate_size = window = draft_vocab_size = None
    if body != "linear":
        intermediate_size = fields.blocks_of_32("intermediate_size", 32, 65536)
    elif fields.find("intermediate_size") is not None:
        fields.fail("intermediate_size", "is set, but linear bodies have none; remove it")
    if fields.find("window") is not None:
        if body != "block":
            fields.fail("window", "is set, but only block bodies attend; remove it")
        window = fields.integer("window", 1, 1048576)
    taps = _taps(fields, layers)
    if fields.find("draft_vocab_size") is not None:
        draft_vocab_size = fields.blocks_of_32("draft_vocab_size", 32, vocab_size)
    return HeadsConfig(
        preset,
        count,
        wiring,
        body,
        shared,
        intermediate_size,
        taps,
        draft_vocab_size,
        fields.boolean("output_norm", False),
        window,
        _acceptance(fields, count),
        _quantization(fields),
        _unembedding(fields, shared),
    )


def _one_of(fields: JsonFields, key: str, known: tuple[_Choice, ...]) -> _Choice:
    value = fields.string(key)
    if value not in known:
        fields.fail(key, f"is {describe(value)}; expected one of {', '.join(known)}")
    return known[known.index(value)]


def _unembedding(fields: JsonFields, shared: bool) -> Unembedding:
    if fields.find("unembedding") is None:
        return "shared"
    unembedding = _one_of(fields, "unembedding", UNEMBEDDINGS)
    if unembedding == "own" and shared:
        fields.fail("unembedding", 'is "own", but one module makes all drafts; set it to "shared"')
    return unembedding


def _taps(fields: JsonFields, layers: int) -> tuple[int, ...]:
    taps = fields.find("taps")
    if taps is None:
        return ()
    if not isinstance(taps, list) or len(taps) > MAX_TAPS:
        fields.fail("taps", f"is {describe(taps)}; expected a list of at most 8 layers")
    before = -1
    for layer in taps:
        if not is_integer(layer, before + 1, layers - 1):
            fields.fail("taps", f"holds {describe(layer)}; expected ascending layers below {layers}")
        before = layer
    return tuple(taps)


def _acceptance(fields: JsonFields, count: int) -> tuple[float, ...] | None:
    chances = fields.find("acceptance")
    if chances is None:
        return None
    if not isinstance(chances, list) or len(chances) != count:
        fields.fail("acceptance", f"is {describe(chances)}; expected a list of count numbers, {count}")
    for chance in chances:
        if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
            fields.fail("acceptance", f"holds {describe(chance)}; expected numbers from 0 to 1")
    return tuple(float(chance) for chance in chances)


def _quantization(fields: JsonFields) -> Mapping[str, str] | None:
    if fields.find("quantization") is None:
        return None
    kinds = fields.object("quantization")
    keys = ("heads", "unembed")
    kinds.allow_only(keys)
    return {key: kinds.kind(key) for key in keys if kinds.find(key) is not None}
