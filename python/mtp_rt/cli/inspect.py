"""`mtp-rt inspect`: what a model directory holds."""

from __future__ import annotations

from typing import Any

from mtp_rt.cli import options, output

app = options.new_app()


@app.command(epilog=options.examples("mtp-rt inspect", "mtp-rt inspect --model ./my-model --json"))
def inspect(model: options.Model = None, json_output: options.Json = False) -> None:
    """Check a model directory and show what it holds."""
    from mtp_rt import hub
    from mtp_rt.cli.progress import show_progress
    from mtp_rt.model_dir import describe

    with show_progress() as progress:
        path = hub.resolve_model(model or hub.DEFAULT_MODEL, progress=progress)
    facts = describe(path)
    if json_output:
        output.write_json(facts)
    else:
        output.write_pairs(list(_flat(facts)))


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """Return the leaves with dotted names; sizes in bytes also in MB."""
    pairs: list[tuple[str, object]] = []
    for key, value in facts.items():
        name = prefix + key
        if isinstance(value, dict) and value:
            pairs += _flat(value, f"{name}.")
        elif key.endswith("_bytes"):
            pairs.append((name, f"{value:,} ({value / 1e6:.1f} MB)"))
        elif value is None or value in ({}, []):
            pairs.append((name, "-"))
        elif isinstance(value, bool):
            pairs.append((name, "yes" if value else "no"))
        elif isinstance(value, list):
            pairs.append((name, ", ".join(map(str, value))))
        else:
            pairs.append((name, f"{value:,}" if isinstance(value, int) else value))
    return pairs
