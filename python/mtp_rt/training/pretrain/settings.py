"""Settings from tables and `name=value` overrides into frozen dataclasses, every field checked.

A dataclass whose fields are dataclasses is a table of tables. Field types may be bool, int, float, str,
tuples of those, choices (Literal), dataclasses, and any of these or None.
"""

from __future__ import annotations

import difflib
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mtp_rt.errors import ArgumentError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Settings = TypeVar("Settings")


def override(tables: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """Return the tables with `table.field=value` changes; a value is TOML, or else the text as it stands.

    Raises:
        ArgumentError: a change is not of that form, or goes through what is no table.
    """
    result = _copied(tables)
    for change in changes:
        name, equals, text = change.partition("=")
        *path, last = name.strip().split(".")
        if not equals or not last:
            raise ArgumentError(f"--set {change!r}: expected NAME=VALUE, as in training.steps=100")
        table = result
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ArgumentError(f"--set {change!r}: {part} is not a table")
        table[last] = _value(text.strip())
    return result


def build(kind: type[Settings], tables: Mapping[str, Any], where: str, prefix: str = "") -> Settings:
    """Return an instance of a dataclass whose fields have the values of the tables.

    Args:
        kind: the dataclass.
        tables: values by field name.
        where: the file, for messages.
        prefix: the table's own name and a dot.

    Raises:
        ArgumentError: an unknown field (with the known one nearest to it), one that is missing, or a value of
            another type.
    """
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name in tables:
        if name not in known:
            raise ArgumentError(f"{where}: {prefix}{name}: no such field{_nearest(name, list(known))}")
    values = {}
    for name, field in known.items():
        if name in tables:
            values[name] = _checked(hints[name], tables[name], where, prefix + name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ArgumentError(f"{where}: {prefix}{name}: is missing")
    try:
        return kind(**values)
    except ArgumentError as error:
        raise ArgumentError(f"{where}: {prefix}{error}") from error


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"


def _copied(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copied(value) if isinstance(value, Mapping) else value for name, value in tables.items()}


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _checked(hint: Any, value: Any, where: str, name: str) -> Any:
    """Return the value as the type that `hint` names."""
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ArgumentError(f"{where}: {name}: is {value!r}; expected a table")
        return build(hint, value, where, f"{name}.")
    origin, choices = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = [choice for choice in choices if choice is not type(None)]
        return None if value is None else _checked(inner, value, where, name)
    if origin is Literal:
        if value in choices:
            return value
        expected = "one of " + ", ".join(map(str, choices))
    elif origin is tuple:
        values = value if isinstance(value, list) else [value]
        return tuple(_checked(choices[0], each, where, name) for each in values)
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, hint) and isinstance(value, bool) == (hint is bool):
        return value
    else:
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        expected = names[hint]
    raise ArgumentError(f"{where}: {name}: is {value!r}; expected {expected}")
