"""Documents of a data set that the library `datasets` knows by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.training.pretrain.text_column import texts

PREFIX = "datasets:"


def named_dataset(source: str, field: str) -> Iterator[str]:
    """Give the texts of `datasets:NAME[:CONFIG[:SPLIT]]`, row by row.

    Args:
        source: NAME as in `datasets.load_dataset`, or a folder of its files; CONFIG may be empty; SPLIT
            "train" unless given, or a part of one such as "train[:10%]".
        field: the column that holds the text.

    Raises:
        UnsupportedError: the library is not installed.
        ArgumentError: it does not find or cannot read the data set, or there is no such column of texts.
    """
    if importlib.util.find_spec("datasets") is None:
        raise UnsupportedError(f"{source}: needs datasets, which is not here: pip install datasets")
    import datasets

    name, config, split = (*source.removeprefix(PREFIX).split(":", 2), "", "")[:3]
    if not name:
        raise ArgumentError(f"data: {source!r}: expected {PREFIX}NAME[:CONFIG[:SPLIT]]")
    try:
        rows = datasets.load_dataset(name, config or None, split=split or "train")
    except Exception as error:  # a missing name, a broken file, no network: each its own kind there
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArgumentError(f"data: {source}: cannot be loaded: {first}") from error
    if field not in rows.column_names:
        raise ArgumentError(
            f"data: {source}: has no column {field!r} but {', '.join(rows.column_names)}; "
            "name it in data.field"
        )
    yield from texts((row[field] for row in rows.select_columns([field])), source, field)
