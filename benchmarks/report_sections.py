"""The sections of docs/benchmarks.md: one function per benchmark, from its result to Markdown."""

from __future__ import annotations

from collections.abc import Callable

from report_cuda import cuda_resources, tensorrt_mapping, wheel_cuda
from report_tables import Entry, listed, table
from report_training import corpus_text, head_sweep, training_speed


def peers(result: Entry) -> str:
    ours = result["ours"]
    rows = [
        ["**mtp-rt, plain**", *speeds(ours["plain"]), "", "", ""],
        [
            f"**mtp-rt, drafts** ({ours['mtp']['tokens_per_step']:.2f} tokens a step)",
            *speeds(ours["mtp"]),
            "",
            "",
            "",
        ],
    ]
    for name, peer in result["peers"].items():
        low, high = peer["ratio_plain_range"]
        rows.append(
            [
                f"{name} {peer['version']}" + drafted(peer),
                *speeds(peer),
                f"{peer['ratio_plain']:.2f} ({low:.2f} .. {high:.2f})",
                f"{peer['ratio_mtp']:.2f}",
                f"{peer['ratio_prefill']:.2f}",
            ]
        )
    header = [
        "system",
        "tokens/s",
        "prefill tokens/s",
        "load s",
        "peak MB",
        "ours plain is x",
        "ours drafted is x",
        "prefill is x",
    ]
    settings = [f"- {name}: {listed(peer['settings'])}" for name, peer in result["peers"].items()]
    return (
        table(header, rows)
        + f"\n{result['prompts']} prompts, {result['tokens']} tokens each, {result['repeat']} rounds; "
        + f"prefill of {result['prefill_tokens']} tokens. Settings:\n"
        + "\n".join(settings)
        + "\n"
    )


def drafted(peer: Entry) -> str:
    per_step = peer.get("tokens_per_step", 1.0)
    return f" ({per_step:.2f} tokens a step)" if per_step > 1 else ""


def speeds(system: Entry) -> list[str]:
    return [
        f"{system['tokens_per_second']:.0f}",
        f"{system['prefill_tokens_per_second']:.0f}",
        f"{system['load_seconds']:.2f}",
        f"{system['peak_memory_mb']:.0f}",
    ]


def steps(result: Entry) -> str:
    widths = list(next(iter(result["verify_ms"].values())))
    rows = []
    for context, times in result["verify_ms"].items():
        ratios = result["verify_ratio"][context]
        rows.append([context, *(f"{times[width]:.2f} ({ratios[width]:.2f}x)" for width in widths)])
    drafting = ", ".join(f"{depth}: {ms:.3f}" for depth, ms in (result["draft_ms"] or {}).items())
    split = ", ".join(f"{phase} {ms:.3f}" for phase, ms in result["split_ms"].items())
    return (
        "Milliseconds of a verify call (and cost in plain steps):\n\n"
        + table(["context", *(f"{width} rows" for width in widths)], rows)
        + f"\nA plain step reads {result['weight_bytes'] / 1e6:.1f} MB of weights at "
        + f"**{result['bandwidth_fraction']:.0%}** of the read bandwidth. Its phases in ms: {split}.\n"
        + (f"\nDrafting, ms by tokens drafted: {drafting}.\n" if drafting else "")
    )


def decode(result: Entry) -> str:
    rows = [
        [
            one["batch"],
            f"{one['plain']['tokens_per_second']:.0f}",
            f"{one['mtp']['tokens_per_second']:.0f}",
            f"{one['speedup']:.2f}",
            f"{one['mtp']['tokens_per_step']:.2f}",
            f"{one['loop_efficiency']:.2f}",
            f"{one['mtp']['draft_share']:.1%}",
            f"{one['differing_tokens']} of {one['tokens']}",
        ]
        for one in result.get("batches", [result])
    ]
    header = [
        "batch",
        "plain tokens/s",
        "drafted tokens/s",
        "speed-up",
        "tokens a step",
        "loop efficiency",
        "time drafting",
        "differing tokens",
    ]
    by_source = [
        [source, f"{one['tokens_per_step']:.2f}", f"{one['speedup']:.2f}"]
        for source, one in result["per_source"].items()
    ]
    return (
        table(header, rows)
        + f"\nBy source at batch {result['batch']}:\n\n"
        + table(["source", "tokens a step", "speed-up"], by_source)
    )


def two_stage_head(result: Entry) -> str:
    rates = result["tokens_per_second"]
    return (
        f"Best token the same in {result['same_best_token']} of {result['steps']} steps; KL divergence "
        f"{result['kl_mean']:.4f} nats on average, {result['kl_p99']:.4f} at the 99th percentile. Plain "
        f"decoding runs at {rates['two_stage']:.0f} tokens/s instead of {rates['full']:.0f} "
        f"({result['speedup']:.2f}x).\n"
    )


def startup(result: Entry) -> str:
    rows = [
        ["`import mtp_rt`", f"{result['import_seconds']:.3f} s"],
        ["load, warm", f"{result['load_seconds']:.3f} s"],
        [
            f"load and first token after {result['prompt_tokens']} tokens",
            f"{result['load_and_first_token_seconds']:.3f} s",
        ],
        ["peak memory of the process", f"{result['peak_bytes'] / 1e6:.0f} MB"],
        ["model file", f"{result['model_file_bytes'] / 1e6:.0f} MB"],
        ["KV cache", f"{result['kv_bytes'] / 1e6:.0f} MB"],
        ["(peak - KV) / model file", f"{result['peak_over_file_and_kv']:.2f}"],
    ]
    return table(["what", "figure"], rows)


def wheel(result: Entry) -> str:
    packed, installed = result["wheel_bytes"] / 1e6, result["installed_bytes"] / 1e6
    return f"{result['wheel']}: {packed:.2f} MB, installed {installed:.2f} MB.\n"


def evaluate(result: Entry) -> str:
    places = range(1, result["drafts"] + 1)
    forced = result.get("teacher_forced")
    rows = []
    for source, one in [*result["per_source"].items(), ("all", result)]:
        at_every_position = (forced if source == "all" else forced["per_source"][source]) if forced else None
        predicted = [f"{at_every_position['predicted_tokens_per_step']:.2f}"] if at_every_position else []
        shares = [f"{share:.2f}" for share in (*one["alpha"], *one["cumulative"])]
        rows.append([source, one["tokens"], f"{one['tokens_per_step']:.2f}", *predicted, *shares])
    header = ["source", "tokens", "tokens a step", *(["predicted"] if forced else [])]
    header += [*(f"alpha {k}" for k in places), *(f"C {k}" for k in places)]
    return (
        f"{result['drafts']} drafts a step from {result['draft_source']}, temperature "
        f"{result['temperature']:g}; tokens a step, mean over the sources: "
        f"**{result['mean_tokens_per_step']:.2f}**.\n\n" + table(header, rows)
    )


def never_slower(result: Entry) -> str:
    rows = [
        [
            kind,
            f"{one['plain_tokens_per_second']:.0f}",
            f"{one['auto_tokens_per_second']:.0f}",
            f"{one['ratio']:.3f}",
            f"{one['ratio_range'][0]:.2f} .. {one['ratio_range'][1]:.2f}",
            f"{one['tokens_per_step']:.2f}",
        ]
        for kind, one in result["by_kind"].items()
    ]
    header = ["what", "plain tokens/s", "auto tokens/s", "auto is x", "over the rounds", "tokens a step"]
    return table(header, rows) + f"\nLowest ratio: **{result['lowest_ratio']:.3f}**.\n"


def accuracy(result: Entry) -> str:
    compared = {
        **{
            f"{kind}, against float64": figures
            for kind, figures in result["against_transformers_float64"].items()
        },
        "two-stage output layer, against the full one": result["two_stage_head_against_full"],
    }
    rows = [
        [kind, f["rows"], f"{f['top1_agreement']:.3f}", f"{f['kl_mean']:.2g}", f"{f['logit_error_max']:.2g}"]
        for kind, f in compared.items()
    ]
    return table(["what", "tokens", "same best token", "mean KL (nats)", "greatest logit error"], rows)


def equality(result: Entry) -> str:
    kinds = [[kind, f["texts"], f["tokens"], f["differing_tokens"]] for kind, f in result["by_kind"].items()]
    total = ["all", "", result["tokens"], result["differing_tokens"]]
    return table(["against plain decoding", "texts", "tokens", "differing"], [*kinds, total])


def planted_faults(result: Entry) -> str:
    survivors = [fault["name"] for fault in result["faults"] if fault["verdict"] != "killed"]
    left = f" Not killed: {', '.join(survivors)}." if survivors else ""
    return f"{result['killed']} of {result['planted']} faults killed by the tests they name.{left}\n"


SECTIONS: dict[str, tuple[str, Callable[[Entry], str]]] = {
    "peers": ("Against other runtimes", peers),
    "peers_onnxruntime": ("The onnxruntime engine against ONNX Runtime GenAI", peers),
    "decode": ("Drafts against plain decoding", decode),
    "mtp_bench": ("Drafts against plain decoding on mtp-bench", decode),
    "evaluate": ("Drafts that stand", evaluate),
    "evaluate_heads": ("Drafts that stand, heads alone", evaluate),
    "never_slower": ("Automatic drafts where they cannot help", never_slower),
    "steps": ("Step time by width", steps),
    "two_stage_head": ("Two-stage output layer", two_stage_head),
    "accuracy": ("Accuracy", accuracy),
    "equality": ("The same text", equality),
    "equality_prompts": ("The same text over mtp-bench", equality),
    "planted_faults": ("Faults planted in the code", planted_faults),
    "head_sweep": ("Kinds of heads, taught for the same time", head_sweep),
    "corpus_text": ("Heads taught on the model's own text and on a corpus", corpus_text),
    "code_bytes": ("Drafts against plain decoding, code-bytes", decode),
    "training_speed": ("Training from scratch", training_speed),
    "startup": ("Start and memory", startup),
    "wheel": ("Wheel", wheel),
    "wheel_cuda": ("Wheel with the CUDA part", wheel_cuda),
    "cuda_resources": ("What the CUDA kernels take", cuda_resources),
    "tensorrt_mapping": ("TensorRT's layers", tensorrt_mapping),
}
