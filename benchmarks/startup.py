"""Time to import the package, to load the model and write the first token, and the memory that takes.

    python benchmarks/startup.py [--model NAME|DIR] [--repeat 9]

Every figure comes from fresh processes, all of them after one that warms the caches of the system and of the
product; times are medians. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median
from typing import Any

from mtp_rt import hub, machine
from mtp_rt.bench import measure
from mtp_rt.model_dir import read_model_dir

PROMPT_TOKENS = 20
ANSWER_TOKENS = 128
CONTEXT = 1024

IMPORT = """
import time
start = time.perf_counter()
import mtp_rt
print(time.perf_counter() - start)
"""

FIRST_TOKEN = """
import json, sys, time
model, context, prompt_tokens, answer_tokens = sys.argv[1], *map(int, sys.argv[2:])
start = time.perf_counter()
from mtp_rt import LLM, SamplingParams
imported = time.perf_counter()
# The package's own reader would bring what a user's process does not have.
def peak_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
before = peak_bytes()
ready = time.perf_counter()
llm = LLM(model, context=context, slots=1)
loaded = time.perf_counter()
prompt = [100 + i for i in range(prompt_tokens)]
llm.generate(prompt, SamplingParams(max_tokens=1, ignore_eos=True))
first = time.perf_counter()
llm.generate(prompt, SamplingParams(max_tokens=answer_tokens, ignore_eos=True))
print(json.dumps({
    "import_seconds": imported - start, "load_seconds": loaded - ready, "first_token_seconds": first - loaded,
    "peak_bytes_before_loading": before, "peak_bytes": peak_bytes(),
}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=hub.DEFAULT_MODEL)
    parser.add_argument("--repeat", type=int, default=9)
    args = parser.parse_args()
    folder = hub.resolve_model(args.model)
    probe = measure.BandwidthProbe(machine.available_cores())
    arguments = [str(folder), *map(str, (CONTEXT, PROMPT_TOKENS, ANSWER_TOKENS))]
    python(FIRST_TOKEN, *arguments)
    probe.sample()
    imports, runs = [], []
    for _ in range(args.repeat):
        imports.append(float(python(IMPORT)))
        runs.append(json.loads(python(FIRST_TOKEN, *arguments)))
        probe.sample()
    print(
        json.dumps(result(folder, imports, runs) | {"machine": facts(probe), "model": args.model}, indent=2)
    )
    return 0


def python(program: str, *arguments: str) -> str:
    """Return what a program prints in a fresh interpreter."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def result(folder: Any, imports: list[float], runs: list[dict[str, float]]) -> dict[str, Any]:
    """Return medians, and the memory against the model file and its KV cache."""
    medians = {key: median(run[key] for run in runs) for key in runs[0]}
    model = read_model_dir(folder)
    config = model.config
    # As the engine keeps them (docs/design.md): 8-bit codes with a scale for 32, or f32.
    value_bytes = 1 + 4 / 32 if config.quantization["layers"] in ("q4", "q8") else 4
    values = 2 * config.layers * config.kv_heads * config.head_dim * CONTEXT
    kv_bytes = int(values * value_bytes)
    return {
        "import_seconds": measure.rounded(median(imports)),
        "load_seconds": measure.rounded(medians["load_seconds"]),
        "first_token_seconds": measure.rounded(medians["first_token_seconds"]),
        "load_and_first_token_seconds": measure.rounded(
            median(run["load_seconds"] + run["first_token_seconds"] for run in runs)
        ),
        "prompt_tokens": PROMPT_TOKENS,
        "peak_bytes": int(medians["peak_bytes"]),
        "peak_bytes_before_loading": int(medians["peak_bytes_before_loading"]),
        "model_file_bytes": model.file_bytes,
        "kv_bytes": kv_bytes,
        "peak_over_file_and_kv": measure.rounded((medians["peak_bytes"] - kv_bytes) / model.file_bytes),
        "repeat": len(runs),
    }


def facts(probe: measure.BandwidthProbe) -> dict[str, Any]:
    from mtp_rt import _core

    return measure.machine_facts(_core.available_isas()[0], machine.available_cores(), probe)


if __name__ == "__main__":
    sys.exit(main())
