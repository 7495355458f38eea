"""`mtp-rt distill`: write, record, fit and ship, each stage from where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import ModelDir, read_model_dir
from mtp_rt.training.distill.acceptance import Acceptance, measure
from mtp_rt.training.distill.export import (
    HeadKinds,
    TrainedHeads,
    trained_heads,
    with_draft_vocabulary,
    write_heads,
)
from mtp_rt.training.distill.fit import BEST, Fitter, Report
from mtp_rt.training.distill.fit_config import FitConfig
from mtp_rt.training.distill.frozen import most_frequent
from mtp_rt.training.distill.line_file import read_lines
from mtp_rt.training.distill.model_card import Origin, model_card
from mtp_rt.training.distill.native_acceptance import measure_native
from mtp_rt.training.distill.prompts import SuppliedPrompt
from mtp_rt.training.distill.record import RecordPlan, RecordSettings, plan_recording, record_states
from mtp_rt.training.distill.report import TextReport
from mtp_rt.training.distill.run_folder import RUN_FILE, ModelIdentity, RunFolder
from mtp_rt.training.distill.shards import SPLITS
from mtp_rt.training.distill.spans import examples
from mtp_rt.training.distill.start import check_start
from mtp_rt.training.distill.write import WriteSettings, write_text

WORTH_A_WARNING = 0.03  # tokens per step that quantisation and the engine may cost unnoticed


@dataclass(frozen=True)
class Wishes:
    """What one distillation is asked to be.

    Attributes:
        fit: settings of the training.
        text: settings of the writing.
        tokens: answer tokens to write.
        prompts: answer these before prompts that the model writes; None: it writes all of them.
        prompts_only: answer no others.
        slots: dialogues written side by side.
        threads: 0 takes one per available core.
        kinds: how the heads are stored.
        ship_vocab: tokens that the shipped heads can guess, at most as many as in training; None: as many.
    """

    fit: FitConfig
    text: WriteSettings
    tokens: int
    prompts: Sequence[SuppliedPrompt] | None = None
    prompts_only: bool = False
    slots: int = 32
    threads: int = 0
    kinds: HeadKinds = field(default_factory=HeadKinds)
    ship_vocab: int | None = None


@dataclass(frozen=True)
class Listener:
    """Who is told how a distillation comes along.

    Attributes:
        progress: (stage, done, total), as often as it likes; time left follows from it.
        text: what was written.
        plan: what is about to be recorded.
        fit: where training stands.
        note: a sentence for people.
    """

    progress: Callable[[str, int, int], None]
    text: Callable[[TextReport], None]
    plan: Callable[[RecordPlan], None]
    fit: Callable[[Report], None]
    note: Callable[[str], None]


def check_wishes(model_dir: Path, wishes: Wishes) -> None:
    """Check what the model decides about, before anything is written.

    Raises:
        ArgumentError: no such preset, a number that does not fit the model, or a start with other heads.
    """
    config, trunk = wishes.fit, read_model_dir(model_dir).config
    for size in (config.draft_vocab, wishes.ship_vocab):
        replace(config, draft_vocab=size).heads_for(trunk)
    if config.start is not None:
        check_start(read_model_dir(Path(config.start)), config.heads_for(trunk), model_dir)


def open_run(out: Path, model_dir: Path, *, resume: bool) -> RunFolder:
    """Open or make a run folder.

    Raises:
        ArgumentError: it holds a run and `resume` was not asked, or something else, or another model's run.
    """
    if (out / RUN_FILE).exists() and not resume:
        raise ArgumentError(f"{out} holds a run; go on with it by --resume, or choose another folder")
    return RunFolder(out, ModelIdentity.of(model_dir))


def distill(run: RunFolder, model_dir: Path, wishes: Wishes, listener: Listener) -> dict[str, Any]:
    """Do what is left of all stages; return a summary for JSON.

    Raises:
        ArgumentError: the run was begun with other settings.
        TrainingError: there is too little text, or the loss is no number.
        Error, OSError: see the stages.
    """
    written = write_text(
        run,
        model_dir,
        wishes.text,
        tokens=wishes.tokens,
        prompts=wishes.prompts,
        prompts_only=wishes.prompts_only,
        slots=wishes.slots,
        threads=wishes.threads,
        progress=listener.progress,
    )
    listener.text(written)
    _record(run, model_dir, wishes, listener)
    heads = run.path / "heads"

    def fitted(report: Report) -> None:
        listener.progress("fit", round(1000 * report.progress), 1000)
        listener.fit(report)

    counts = _token_counts(run, read_model_dir(model_dir).config.vocab_size)
    with run.working("fit"):
        Fitter(model_dir, run.states_dir, heads, wishes.fit, report=fitted, counts=counts).run()
    measured = ship(run, model_dir, heads / BEST, wishes, listener.note)
    return {
        "run": str(run.path),
        "model": str(run.path / "model"),
        "package": str(run.path / "package"),
        "answer_tokens": written.answer_tokens,
        "acceptance": list(measured.alpha),
        "tokens_per_step": measured.tokens_per_step,
        "walked_tokens_per_step": measured.walked,
    }


def ship(
    run: RunFolder, model_dir: Path, checkpoint: Path, wishes: Wishes, note: Callable[[str], None]
) -> Acceptance:
    """Quantise a checkpoint's heads, write RUN/package and RUN/model, measure them in the native engine."""
    model, trained = read_model_dir(model_dir), trained_heads(model_dir, checkpoint)
    if wishes.ship_vocab is not None:
        chosen = most_frequent(_token_counts(run, model.config.vocab_size), wishes.ship_vocab)
        trained = replace(trained, heads=with_draft_vocabulary(trained.heads, model, chosen))
    write_heads(trained.heads, model_dir, run.path, wishes.kinds, acceptance=None, card="")
    sources = {line["index"]: line["source"] for line in read_lines(run.text_file)}
    dev_slots = wishes.fit.dev_slots
    measured = measure_native(run.path / "model", run.states_dir, dev_slots, wishes.threads, sources)
    kind = examples(trained.heads.attends)
    slots = kind(run.states_dir, "dev", trained.heads.config.count, greedy=True)
    before = measure(trained.heads, slots, slots.first(measured.slots), torch.float32).tokens_per_step
    if before - measured.tokens_per_step > WORTH_A_WARNING:
        note(
            f"warning: quantised, the heads yield {measured.tokens_per_step:.3f} tokens per step instead of "
            f"{before:.3f}; --heads-kind q8 or --unembed-kind q8 may keep more"
        )
    origin = _origin(run, model, trained)
    card = model_card(model, trained, measured, origin)
    write_heads(trained.heads, model_dir, run.path, wishes.kinds, acceptance=measured, card=card)
    return measured


def _origin(run: RunFolder, model: ModelDir, trained: TrainedHeads) -> Origin:
    counts = {split: _token_counts(run, model.config.vocab_size, split) for split in SPLITS}
    named = counts["dev"][trained.heads.draft_ids.numpy()].sum()
    stages = {stage: run.settings(stage) or {} for stage in ("write", "record")}
    written = int(sum(part.sum() for part in counts.values()))
    return Origin(stages, written, float(named / max(counts["dev"].sum(), 1)))


def _token_counts(run: RunFolder, vocab_size: int, split: str = "train") -> NDArray[np.int64]:
    """Return how often each token occurs in a split's answers."""
    counts = np.zeros(vocab_size, np.int64)
    for line in read_lines(run.text_file):
        if line["split"] == split:
            counts += np.bincount(line["answer_ids"], minlength=vocab_size)
    return counts


def _record(run: RunFolder, model_dir: Path, wishes: Wishes, listener: Listener) -> None:
    trunk, fit = read_model_dir(model_dir).config, wishes.fit
    settings = RecordSettings(taps=fit.heads_for(trunk).taps)
    listener.plan(plan_recording(run, model_dir, settings))
    record_states(run, model_dir, settings, threads=wishes.threads, progress=listener.progress)
