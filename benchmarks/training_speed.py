"""Speed and memory of training from scratch, against a plain next-token loop with transformers.

    python benchmarks/training_speed.py [--hidden 256] [--layers 8] [--repeat 7] [--steps 3]

Speed: models of as many layers, heads included, take turns of a few steps, so that all meet the same machine;
rates are medians over the rounds, ratios medians of the ratios within each round. Ours is all of
`Trainer.train_step`. Memory: the most that a process of its own holds over three steps, less what it held
before it made the model; beside it one graph for all heads, with all logits at once. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F

from mtp_rt.models.head_by_head import TokenBatch, backward_head_by_head
from mtp_rt.models.multi_token import MultiTokenModel
from mtp_rt.training.pretrain.config import TrainConfig
from mtp_rt.training.pretrain.settings import build
from mtp_rt.training.pretrain.trainer import Trainer

OURS = {"mtp-rt n=1": ("gloeckle", 1), "mtp-rt n=4": ("gloeckle", 4), "mtp-rt n=4, causal": ("causal", 4)}
PLAIN = "transformers"
BASE = "mtp-rt n=1"
MEMORY_N = (1, 2, 4, 8)
MEMORY_VOCABULARY = 8192
MEMORY_LAYERS = 9
CLIP = 1.0

Step = Callable[[], None]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--sequence", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3, help="of a turn")
    parser.add_argument("--repeat", type=int, default=7, help="rounds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--memory-of", metavar="N", type=int, help="print the bytes of a step with N tokens")
    parser.add_argument("--naive", action="store_true", help="with --memory-of: one graph, all logits")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        print(peak_bytes(args, args.memory_of))
        return 0
    result = {
        "shape": {name: getattr(args, name) for name in ("hidden", "layers", "sequence", "batch", "dtype")},
        "threads": args.threads,
        "repeat": args.repeat,
        "versions": {"torch": torch.__version__, "transformers": version_of_transformers()},
        "systems": speed(args),
        "memory": memory(args),
        "memory_shape": {
            "layers": MEMORY_LAYERS,
            "vocabulary": MEMORY_VOCABULARY,
            "dtype": "float32",
            "threads": torch.get_num_threads(),
        },
    }
    print(json.dumps(result, indent=2))
    return 0


def version_of_transformers() -> str:
    import transformers

    return str(transformers.__version__)


def speed(args: argparse.Namespace) -> dict[str, Any]:
    """Return tokens per second of every system, as a multiple of the plain loop's and of n = 1 too."""
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts"
        texts.mkdir()
        for number in range(40):
            text = " ".join(str((number * 7919 + i * i) % 9973) for i in range(4000))
            (texts / f"{number}.txt").write_text(text)
        steps = {name: ours(args, Path(folder), *kind) for name, kind in OURS.items()}
        steps[PLAIN] = plain(args)
        rates: dict[str, list[float]] = {name: [] for name in steps}
        for step in steps.values():
            step()  # the first one makes buffers
        for _ in range(args.repeat):
            for name, step in steps.items():
                started = time.perf_counter()
                for _ in range(args.steps):
                    step()
                seconds = time.perf_counter() - started
                rates[name].append(args.steps * args.batch * args.sequence / seconds)
    return {
        name: {
            "tokens_per_second": round(median(own), 1),
            "ratio_plain": ratio(own, rates[PLAIN]),
            "ratio_n1": ratio(own, rates[BASE]),
        }
        for name, own in rates.items()
    }


def ratio(rates: list[float], others: list[float]) -> dict[str, float]:
    """Return median, least and most of the ratios within rounds."""
    found = [rate / other for rate, other in zip(rates, others, strict=True)]
    return {
        name: round(value, 3)
        for name, value in (("median", median(found)), ("low", min(found)), ("high", max(found)))
    }


def ours(args: argparse.Namespace, folder: Path, preset: str, n: int) -> Step:
    tables = {
        "data": {"train": [str(folder / "texts")], "validation_share": 0.2},
        "model": {"hidden_size": args.hidden, "layers": args.layers, "heads": args.hidden // 32},
        "heads": {"preset": preset, "n": n},
        "training": {
            "sequence": args.sequence,
            "batch": args.batch,
            "steps": 1000,
            "dtype": args.dtype,
            "threads": args.threads,
        },
    }
    out = folder / f"{preset}-{n}"
    out.mkdir()
    return Trainer(build(TrainConfig, tables, "training_speed"), out).train_step


def plain(args: argparse.Namespace) -> Step:
    """Return the step of a plain loop: the library's model and loss, AdamW, clipping."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=257,
        hidden_size=args.hidden,
        intermediate_size=-(-args.hidden * 8 // 96) * 32,
        num_hidden_layers=args.layers,
        num_attention_heads=args.hidden // 32,
        max_position_embeddings=args.sequence,
        use_cache=False,
    )
    model = transformers.LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.95), weight_decay=0.1, fused=True)
    tokens = torch.randint(0, 256, (args.batch, args.sequence))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "bfloat16"):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        loss.item()

    return step


def memory(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the peaks in megabytes by tokens at once, head by head and in one graph."""
    shape = ["--hidden", str(args.hidden), "--sequence", str(args.sequence), "--batch", str(args.batch)]
    peaks: dict[str, dict[str, float]] = {}
    for n in MEMORY_N:
        command = [sys.executable, __file__, "--memory-of", str(n), *shape]
        found = {
            name: int(subprocess.run([*command, *more], check=True, capture_output=True, text=True).stdout)
            for name, more in (("head_by_head_mb", []), ("one_graph_mb", ["--naive"]))
        }
        peaks[str(n)] = {name: round(value / 1e6, 1) for name, value in found.items()}
    return peaks


def peak_bytes(args: argparse.Namespace, n: int) -> int:
    """Return what three steps add to the most that this process holds, model and optimiser included."""
    size = {"hidden_size": args.hidden, "layers": MEMORY_LAYERS, "heads": args.hidden // 32}
    tables = {"data": {"train": ["-"]}, "model": size, "heads": {"n": n}}
    config = build(TrainConfig, tables, "training_speed")
    length = args.sequence + n
    stream = torch.randint(0, MEMORY_VOCABULARY, (args.batch, length))
    ahead = torch.stack([stream[:, i + 1 : i + 1 + args.sequence] for i in range(n)], dim=2)
    batch = TokenBatch(stream[:, : args.sequence], ahead, torch.ones_like(ahead, dtype=torch.bool))
    weights = [1 / batch.tokens_BT.numel()] * n
    torch.zeros(64, 64) @ torch.zeros(64, 64)  # the library's own buffers
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    model = MultiTokenModel(config.model_config(MEMORY_VOCABULARY, 0))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        if args.naive:
            one_graph(model, batch, weights).backward()
        else:
            backward_head_by_head(model, batch, weights)
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Return the bytes of memory that this process holds (VmRSS), or has held at most (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def one_graph(model: MultiTokenModel, batch: TokenBatch, weights: list[float]) -> torch.Tensor:
    """Return the weighted sum of all losses in one graph."""
    states, start = model.begin(batch.tokens_BT)
    total = states.new_zeros(())
    for draft in range(model.n):
        made = model.step(draft, [start], batch.ahead_BTN)[0] if draft else states
        logits = made.flatten(0, 1) @ model.unembedding.T
        loss = F.cross_entropy(logits, batch.labels(draft + 1), reduction="sum")
        total = total + weights[draft] * loss
    return total


if __name__ == "__main__":
    sys.exit(main())
