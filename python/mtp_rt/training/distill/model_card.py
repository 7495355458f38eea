"""The model card that goes with heads: what they are, how they were made, what they bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtp_rt.model_dir import ModelDir
from mtp_rt.training.distill.acceptance import Acceptance
from mtp_rt.training.distill.export import TrainedHeads

_CARD = """# Extra heads for {name}

{count} drafts by `{preset}` heads ({wiring} wiring, {body} body{shared}), for the model {name} \
({license}; source SHA-256 `{sha}`).
They guess tokens that the model then checks: its text does not change, it only comes sooner.

## What they bring

Development split, greedy, measured in the native engine with the weights as stored, {slots} positions:

| draft | stands where those before it stood | all up to it stand |
| --- | --- | --- |
{table}

Tokens per step: {tokens_per_step:.2f} from any position, {walked:.2f} when decoding steps through the texts.

| text | positions | first draft stands | tokens per step, decoding |
| --- | --- | --- | --- |
{sources}

## How they were made

`mtp-rt distill`: the model wrote the text itself, its states were recorded from the quantised engine that \
serves it, and the heads learned from those.

| | |
| --- | --- |
| text | {answer_tokens} tokens of answers: {writing} |
| recorded | {recording} |
| draft vocabulary | {vocabulary} tokens, {coverage:.1%} of the development split's answers |
| slots seen | {visits} in {steps} steps, {minutes:.0f} minutes |
| training | {training} |
"""


@dataclass(frozen=True)
class Origin:
    """Where heads come from.

    Attributes:
        stages: settings of the stages "write" and "record".
        answer_tokens: how much the model wrote.
        coverage: share of the development split's answers that the shipped draft vocabulary makes up.
    """

    stages: Mapping[str, Mapping[str, Any]]
    answer_tokens: int
    coverage: float


def model_card(model: ModelDir, trained: TrainedHeads, measured: Acceptance, origin: Origin) -> str:
    """Return README.md of a heads package.

    Args:
        model: the trunk.
        trained: the heads, before they were quantised.
        measured: their acceptance in the native engine.
        origin: where they come from.
    """
    heads, source, begun = trained.heads.config, model.config.source, trained.config.start
    start = None if begun is None else Path(begun).name  # where it lay is nobody's business
    pairs = enumerate(zip(measured.alpha, measured.cumulative, strict=True), 1)
    return _CARD.format(
        name=source.get("name", model.path.name),
        license=source.get("license", "licence unknown"),
        sha=source.get("sha256", "unknown"),
        count=heads.count,
        preset=heads.preset,
        wiring=heads.wiring,
        body=heads.body,
        shared=", one module for all" if heads.shared else "",
        slots=measured.slots,
        table="\n".join(f"| {k} | {alpha:.3f} | {stands:.3f} |" for k, (alpha, stands) in pairs),
        sources="\n".join(
            f"| {source} | {part.slots} | {part.alpha[0]:.3f} | {part.walked or part.tokens_per_step:.2f} |"
            for source, part in (measured.by_source or {"all": measured}).items()
        ),
        tokens_per_step=measured.tokens_per_step,
        walked=measured.walked or measured.tokens_per_step,
        answer_tokens=f"{origin.answer_tokens:,}",
        writing=_settings(origin.stages["write"]),
        recording=_settings(origin.stages["record"]),
        vocabulary=f"{len(trained.heads.draft_ids):,}",
        coverage=origin.coverage,
        visits=f"{trained.place.visits:,}",
        steps=f"{trained.place.step:,}",
        minutes=trained.place.seconds / 60,
        training=_settings(vars(trained.config) | {"start": start}),
    )


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
