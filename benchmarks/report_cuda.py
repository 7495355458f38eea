"""The sections of docs/benchmarks.md about the CUDA part and TensorRT's plans."""

from __future__ import annotations

from report_tables import Entry, table


def wheel_cuda(result: Entry) -> str:
    parts = [
        [name, f"{size / 1e6:.2f} MB", f"{result['largest_compressed'][name] / 1e6:.2f} MB"]
        for name, size in result["largest"].items()
    ]
    packed, installed = result["wheel_bytes"] / 1e6, result["installed_bytes"] / 1e6
    total = f"{result['wheel']}: {packed:.2f} MB, installed {installed:.2f} MB. Its largest files:\n\n"
    return total + table(["file", "installed", "in the wheel"], parts)


def cuda_resources(result: Entry) -> str:
    """Return a line per kernel: what it takes where it takes most."""
    kernels = sorted({name for kernels in result.values() for name in kernels})
    rows = []
    for kernel in kernels:
        uses = [taken[kernel] for taken in result.values() if kernel in taken]
        keys = ("registers", "shared_bytes", "stack_bytes", "spill_bytes")
        rows.append([f"`{kernel}`", *(max(use[key] for use in uses) for key in keys)])
    header = ["kernel", "registers", "shared memory, bytes", "stack, bytes", "spilled, bytes"]
    return table(header, rows) + f"\nThe greatest of {', '.join(result)}, as the compiler reports it.\n"


def tensorrt_mapping(result: Entry) -> str:
    plans = [
        [
            plan["file"],
            f"{plan['bytes'] / 1e6:.0f} MB",
            f"{plan['build_seconds']:.0f} s",
            ", ".join(plan["fallbacks"]) or "none",
        ]
        for plan in result["plans"]
    ]
    layers = [
        [file, operator, ", ".join(f"{count} {layer}" for layer, count in made.items())]
        for file, operators in result["layers_of_their_own"].items()
        for operator, made in operators.items()
    ]
    gpu = result["gpu"] or "none: built ahead of time"
    return (
        f"{result['library']} {result['version']}, model {result['model']}, GPU {gpu}.\n\n"
        + table(["plan", "size", "built in", "operators that fell back"], plans)
        + "\n"
        + table(["plan", "operator", "layers it became"], layers)
    )
