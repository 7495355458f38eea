"""The texts in a column of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mtp_rt.errors import ArgumentError


def texts(values: Iterable[object], source: str, field: str) -> Iterator[str]:
    """Give the texts of a column; rows may lack one.

    Raises:
        ArgumentError: a row holds something else.
    """
    for number, value in enumerate(values, 1):
        if isinstance(value, str):
            yield value
        elif value is not None:
            raise ArgumentError(
                f"data: {source}: column {field!r} holds no text but {type(value).__name__} (row {number}); "
                "name the column of texts in data.field"
            )
