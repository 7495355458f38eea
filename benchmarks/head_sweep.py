"""Heads of several kinds, taught for the same time from the same states, one setting changed at a time.

    mtp-rt distill RUN --prompts training_prompts.jsonl     (its text and its recorded states are used)
    python benchmarks/head_sweep.py RUN SWEEP --minutes 3 [--threads 1] [--teach-only]

Each point is taught on RUN's training split, stored as it would ship (q4, output rows q8) and joined with the
model. Then its drafts are counted on the development split's greedy text in the native engine, and prompts of
that split are decoded plainly and with automatic drafts of the heads alone, in turn. Points that SWEEP holds
are not taught again. Prints JSON; evaluation prompts play no part.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtp_rt import _core, hub
from mtp_rt.bench import decode, measure
from mtp_rt.bench.prompts import Item
from mtp_rt.model_dir import read_model_dir
from mtp_rt.request import draft_options
from mtp_rt.sampling_params import SamplingParams
from mtp_rt.training.distill.acceptance import Acceptance
from mtp_rt.training.distill.export import HeadKinds, TrainedHeads, trained_heads, write_heads
from mtp_rt.training.distill.fit import CHECKPOINT, Fitter
from mtp_rt.training.distill.fit_config import FitConfig
from mtp_rt.training.distill.frozen import heads_on
from mtp_rt.training.distill.line_file import read_lines
from mtp_rt.training.distill.native_acceptance import measure_native
from mtp_rt.training.distill.pipeline import open_run

DRAFTS = 4
BASE = FitConfig(heads=DRAFTS, seed=7, evaluate_every=1e9)
# What differs from BASE, by the name of the point.
POINTS: Mapping[str, Mapping[str, Any]] = {
    "start point": {},
    "preset fastmtp": {"preset": "fastmtp"},
    "preset medusa": {"preset": "medusa"},
    "preset hydra": {"preset": "hydra"},
    "draft vocabulary 4,096": {"draft_vocab": 4096},
    "draft vocabulary 8,192": {"draft_vocab": 8192},
    "trained on 2 drafts": {"heads": 2},
    "trained on 3 drafts": {"heads": 3},
    "trained on 1 draft, applied 4 times": {"heads": 1},
    "labels alone (CE)": {"label_share": 1.0},
}
MEASURED_SLOTS = 8_000
PROMPTS, TOKENS = 16, 128


def taught(model: Path, states: Path, out: Path, config: FitConfig) -> TrainedHeads:
    """Return a point's heads, taught now or before; heads that apply one module can draft on to DRAFTS."""
    Fitter(model, states, out / "heads", config).run()
    trained = trained_heads(model, out / "heads" / CHECKPOINT)
    if config.heads > 1:
        return trained
    described = replace(trained.heads.config, count=DRAFTS)
    longer = heads_on(read_model_dir(model), described, trained.heads.draft_ids)
    longer.load_state_dict(trained.heads.state_dict())
    return replace(trained, heads=longer)


def development_prompts(text: Path) -> list[Item]:
    """Return prompts of the development split, at equal distances."""
    prompts = [
        Item(line["source"], line["prompt_ids"])
        for line in read_lines(text)
        if line["split"] == "dev" and line["temperature"] == 0
    ]
    count = min(PROMPTS, len(prompts))
    return [prompts[index * len(prompts) // count] for index in range(count)]


def speed(folder: Path, items: list[Item], repeat: int, threads: int) -> dict[str, Any]:
    """Return what `bench decode` says of a point's model with drafts of its heads alone."""
    engine = _core.Engine(str(folder), threads=threads)
    params = SamplingParams(temperature=0.0, max_tokens=TOKENS, seed=0)
    settings = decode.Settings(params, draft_options("auto", "heads"), repeat, (1,))
    return decode.run(engine, folder, items, settings)


def counted(acceptance: Acceptance, trained: TrainedHeads) -> dict[str, Any]:
    """Return what a table shows of a point before its speed is known."""
    place = trained.place
    return {
        "slots": place.visits,
        "slots_per_second": round(place.visits / place.seconds),
        "alpha": [measure.rounded(chance) for chance in acceptance.alpha],
        "teacher_forced_tokens_per_step": measure.rounded(acceptance.tokens_per_step),
        "tokens_per_step": measure.rounded(acceptance.walked or acceptance.tokens_per_step),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the folder of a run of `mtp-rt distill`")
    parser.add_argument("out", type=Path, help="where the points go")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--minutes", type=float, default=3.0, help="training of each point")
    parser.add_argument("--threads", type=int, default=1, help="of training")
    parser.add_argument("--decode-threads", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=3, help="rounds of decoding")
    parser.add_argument("--teach-only", action="store_true", help="count and time nothing yet")
    args = parser.parse_args()
    model = hub.resolve_model(args.model)
    run = open_run(args.run, model, resume=True)
    base = replace(BASE, hours=args.minutes / 60, threads=args.threads)
    points: dict[str, dict[str, Any]] = {}
    for number, (name, changes) in enumerate(POINTS.items()):
        folder = args.out / f"{number:02}"
        trained = taught(model, run.states_dir, folder, replace(base, **changes))
        write_heads(trained.heads, model, folder, HeadKinds(), acceptance=None, card="")
        print(f"{name}: {trained.place.visits:,} slots", file=sys.stderr, flush=True)
        if not args.teach_only:
            acceptance = measure_native(folder / "model", run.states_dir, MEASURED_SLOTS)
            points[name] = counted(acceptance, trained)
    if args.teach_only:
        return 0
    items = development_prompts(run.text_file)
    for number, name in enumerate(POINTS):
        found = speed(args.out / f"{number:02}" / "model", items, args.repeat, args.decode_threads)
        points[name] |= {
            "speedup": found["speedup"],
            "live_tokens_per_step": found["mtp"]["tokens_per_step"],
            "differing_tokens": found["differing_tokens"],
        }
    result = {"model": args.model, "minutes": args.minutes, "points": points, "machine": found["machine"]}
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
