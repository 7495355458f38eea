"""What `mtp-rt bench` shows without --json."""

from __future__ import annotations

from typing import Any

from mtp_rt.cli import output


def show_decode(result: dict[str, Any]) -> None:
    """Write the result of `bench decode`: a line per batch size, then per source."""
    batches = result.get("batches", [result])
    output.write_table(
        [
            "batch",
            "plain tok/s",
            "drafted tok/s",
            "speed-up",
            "tok/step",
            "efficiency",
            "draft share",
            "differing",
        ],
        [
            [
                one["batch"],
                f"{one['plain']['tokens_per_second']:.1f}",
                f"{one['mtp']['tokens_per_second']:.1f}",
                f"{one['speedup']:.2f}",
                f"{one['mtp']['tokens_per_step']:.2f}",
                f"{one['loop_efficiency']:.2f}",
                f"{one['mtp']['draft_share']:.1%}",
                f"{one['differing_tokens']} of {one['tokens']}",
            ]
            for one in batches
        ],
    )
    output.write("\n")
    output.write_table(
        ["source", "tokens", "tok/step", "speed-up", "efficiency"],
        [
            [
                source,
                one["tokens"],
                *(f"{one[key]:.2f}" for key in ("tokens_per_step", "speedup", "loop_efficiency")),
            ]
            for source, one in result["per_source"].items()
        ],
    )
    accepted = ", ".join(f"{share:.2f}" for share in result["mtp"]["accepted_per_position"])
    output.write("\n")
    output.write_pairs([("accepted per position", accepted or "no drafts"), *_machine(result)])


def show_steps(result: dict[str, Any]) -> None:
    """Write the result of `bench steps`: a line per context, then the split and the bandwidth."""
    for title, table, digits in (("ms", "verify_ms", 3), ("plain steps", "verify_ratio", 2)):
        widths = list(next(iter(result[table].values())))
        output.write_table(
            [f"context \\ width ({title})", *widths],
            [
                [context, *(f"{by_width[width]:.{digits}f}" for width in widths)]
                for context, by_width in result[table].items()
            ],
        )
        output.write("\n")
    drafting = ", ".join(f"{depth}: {ms:.3f}" for depth, ms in (result["draft_ms"] or {}).items())
    split = ", ".join(f"{phase} {ms:.3f}" for phase, ms in result["split_ms"].items())
    output.write_pairs(
        [
            ("plain step, ms by phase", split),
            ("drafting, ms by depth", drafting or "no heads"),
            ("weights read per plain step", f"{result['weight_bytes'] / 1e6:.1f} MB"),
            ("share of the read bandwidth", f"{result['bandwidth_fraction']:.0%}"),
            *_machine(result),
        ]
    )


def show_peers(result: dict[str, Any]) -> None:
    """Write the result of `bench peers`: a line per system."""
    rows = [["mtp-rt, plain", *_speed(result["ours"]["plain"]), "", ""]]
    rows.append(["mtp-rt, drafted", *_speed(result["ours"]["mtp"]), "", ""])
    for name, peer in result["peers"].items():
        ratios = [f"{peer[key]:.2f}" for key in ("ratio_plain", "ratio_mtp")]
        rows.append([f"{name} {peer['version']}", *_speed(peer), *ratios])
    output.write_table(
        ["system", "tok/s", "prefill tok/s", "load s", "peak MB", "we are x (plain)", "x (drafted)"], rows
    )
    output.write("\n")
    output.write_pairs(_machine(result))


def _speed(system: dict[str, Any]) -> list[str]:
    return [
        f"{system['tokens_per_second']:.1f}",
        f"{system['prefill_tokens_per_second']:.0f}",
        f"{system['load_seconds']:.2f}",
        f"{system['peak_memory_mb']:.0f}",
    ]


def _machine(result: dict[str, Any]) -> list[tuple[str, object]]:
    machine = result["machine"]
    low, high = machine["read_bandwidth_range_gb_s"]
    names = [machine["cpu"], machine["isa"], f"{machine['threads']} threads"]  # no isa: not ours to choose
    return [
        ("model", result["model"]),
        ("machine", ", ".join(filter(None, names))),
        ("read bandwidth, GB/s", f"{machine['read_bandwidth_gb_s']:.1f} ({low:.1f} .. {high:.1f})"),
        ("date", result["date"]),
    ]
