"""The sections of docs/benchmarks.md about training."""

from __future__ import annotations

from report_tables import Entry, listed, table


def training_speed(result: Entry) -> str:
    rows = []
    for name, one in result["systems"].items():
        of = [one["ratio_plain"], one["ratio_n1"]]
        ratios = [f"{ratio['median']:.2f} ({ratio['low']:.2f} .. {ratio['high']:.2f})" for ratio in of]
        rows.append([name, f"{one['tokens_per_second']:,.0f}", *ratios])
    kinds = ("head_by_head_mb", "one_graph_mb")
    peaks = [[n, *(f"{peak[kind]:.0f}" for kind in kinds)] for n, peak in result["memory"].items()]
    return (
        table(["system", "tokens/s", "of the plain loop", "of n = 1"], rows)
        + f"\n{listed(result['shape'] | result['versions'])}; threads {result['threads']}, rounds "
        + f"{result['repeat']}. Peak memory, MB ({listed(result['memory_shape'])}, else as above):\n\n"
        + table(["tokens at once", "head by head", "one graph"], peaks)
    )


def head_sweep(result: Entry) -> str:
    rows = [
        [
            name,
            f"{point['slots']:,}",
            " ".join(f"{chance:.2f}" for chance in point["alpha"]),
            f"{point['teacher_forced_tokens_per_step']:.2f}",
            f"{point['tokens_per_step']:.2f}",
            f"{point['live_tokens_per_step']:.2f}",
            f"{point['speedup']:.2f}x",
        ]
        for name, point in result["points"].items()
    ]
    header = ["heads", "slots", "drafts stand", "forced", "walked", "live, auto", "speed-up, auto"]
    return (
        table(header, rows)
        + f"\nEach point had {result['minutes']:g} minutes of one core, from drawn weights, on the same "
        + "states, and differs from the start point (`recurrent`, 4 drafts, a draft vocabulary of 16,384) in "
        + "what its name says. `forced`: tokens per step from any position of the development split's greedy "
        + "text; `walked`: stepping through it; `live`: decoding its prompts with automatic drafts.\n"
    )


def corpus_text(result: Entry) -> str:
    names = {"own": "the model's own answers", "corpus": "GSM8K's answers"}

    def cell(point: Entry) -> str:
        return f"{point['tokens_per_step']:.2f} ({', '.join(f'{chance:.2f}' for chance in point['alpha'])})"

    rows = [
        [names[taught], f"{result['answer_tokens'][taught]:,}", *(cell(points[text]) for text in names)]
        for taught, points in result["points"].items()
    ]
    header = ["taught on", "answer tokens", *(f"tokens per step over {text}" for text in names.values())]
    return (
        table(header, rows)
        + f"\nHeads `{result['preset']}`, {result['steps']:,} steps of {result['batch']} slots each, from "
        + "the same first weights. Tokens per step stepping through the development split, in brackets the "
        + "chance of each draft where those before it stood.\n"
    )
