"""`mtp-rt models`: the models that have a name."""

from __future__ import annotations

from typing import Any

from mtp_rt.cli import options, output

app = options.new_app()


@app.command(epilog=options.examples("mtp-rt models", "mtp-rt models --json"))
def models(json_output: options.Json = False) -> None:
    """List the known models, and where those that were fetched lie. Any of them works as --model NAME."""
    known = list_models()
    if json_output:
        output.write_json({"models": known})
        return
    rows = [
        (
            model["name"] + (" (default)" if model["default"] else ""),
            f"{model['bytes'] / 1e6:.0f} MB",
            model["license"],
            model["path"] or "not fetched",
            model["summary"],
        )
        for model in known
    ]
    output.write_table(("NAME", "SIZE", "LICENSE", "WHERE", "WHAT"), rows)


def list_models() -> list[dict[str, Any]]:
    """Return the known models as JSON values; "path" is None for one that is not in the cache."""
    from mtp_rt import hub

    cached = hub.cached_models()
    return [
        {
            "name": model.name,
            "summary": model.summary,
            "license": model.license,
            "bytes": model.nbytes,
            "default": model.name == hub.DEFAULT_MODEL,
            "path": str(cached[model.name]) if model.name in cached else None,
        }
        for model in hub.known_models()
    ]
