"""JSON text that nobody vouches for, and typed access to its fields.

The rules are those of cpp/src/io/json_fields.cpp; both readers are held to one corpus of bad files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from mtp_rt.errors import ModelFormatError

MAX_DEPTH = 64
MAX_MARKS = 1 << 18  # commas and opening brackets in one text
_LONGEST_ECHO = 80


def parse_json_object(text: bytes, file: str, field: str) -> dict[str, Any]:
    """Return the one JSON object that `text` holds.

    Raises:
        ModelFormatError: not JSON, not an object, nested deeper than MAX_DEPTH, more than MAX_MARKS commas
            and brackets, or a key twice in one object.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in pairs:
            if key in members:
                raise ModelFormatError(file, printable(key), "stands twice in one object; remove one of them")
            members[key] = value
        return members

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    # Every value but the first follows a comma or opens a container: this bounds memory before any is spent.
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > MAX_MARKS:
        raise ModelFormatError(file, field, f"holds more than {MAX_MARKS} commas and brackets")
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=unique,
            parse_constant=refuse,
            parse_float=_finite,
            parse_int=_integer,
        )
        _check_tree(value, file, field)
    except RecursionError:
        raise ModelFormatError(file, field, f"is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise ModelFormatError(file, field, f"is not valid JSON (at byte {error.pos})") from None
    except ValueError as error:  # UTF-8, NaN, numbers beyond double precision
        raise ModelFormatError(file, field, f"is not valid JSON: {printable(str(error))}") from None
    if not isinstance(value, dict):
        raise ModelFormatError(file, field, f"is {describe(value)}; expected a JSON object")
    return value


def _integer(text: str) -> int:
    if len(text) > 300:
        _finite(text)  # what no double holds is refused, as by the C++ reader
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _check_tree(value: Any, file: str, field: str) -> None:
    """Apply the limit on depth, and refuse lone surrogates, which UTF-8 cannot write."""
    depth, level = 0, [value]
    while level:
        nested = [entry for entry in level if isinstance(entry, dict | list)]
        depth += bool(nested)
        if depth > MAX_DEPTH:
            raise ModelFormatError(file, field, f"is nested deeper than {MAX_DEPTH} levels")
        for text in (entry for entry in level if isinstance(entry, str)):
            text.encode()
        level = []
        for entry in nested:
            if isinstance(entry, dict):
                for key in entry:
                    key.encode()
                level.extend(entry.values())
            else:
                level.extend(entry)


def is_printable(text: str) -> bool:
    """Return whether `text` is printable ASCII throughout."""
    return text.isascii() and text.isprintable()


def printable(text: str) -> str:
    """Return `text` as it may stand in a message: printable ASCII, others as '?', at most 80 characters."""
    clean = "".join(character if is_printable(character) else "?" for character in text[:_LONGEST_ECHO])
    return clean + "..." if len(text) > _LONGEST_ECHO else clean


def describe(value: Any) -> str:
    """Return what stands in a field, for messages: a number as written, a quoted string, "a list"."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f'"{printable(value)}"'
    return printable(json.dumps(value))


def is_integer(value: Any, least: int, most: int) -> bool:
    """Return whether `value` is an integer (not a boolean) within [least, most]."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


class JsonFields:
    """Typed access to the fields of one object. A field that holds null counts as absent.

    Getters without a fallback raise ModelFormatError when the field is absent; all raise it when the field
    has another type or lies outside the range.
    """

    def __init__(self, members: Mapping[str, Any], file: str, path: str = "") -> None:
        self._members = members
        self.file = file
        self._path = path

    def full_name(self, key: str) -> str:
        """Return the field's name from the top of the file: "path.key"."""
        return f"{self._path}.{key}" if self._path else key

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise ModelFormatError for the field `key`."""
        raise ModelFormatError(self.file, self.full_name(key), problem)

    def find(self, key: str) -> Any:
        """Return the value, or None where it is absent."""
        return self._members.get(key)

    def get(self, key: str) -> Any:
        """Return the value."""
        value = self._members.get(key)
        if value is None:
            self.fail(key, "is missing")
        return value

    def integer(self, key: str, least: int, most: int, fallback: int | None = None) -> int:
        """Return an integer of [least, most]."""
        if fallback is not None and self.find(key) is None:
            return fallback
        value = self.get(key)
        if not is_integer(value, least, most):
            self.fail(key, f"is {describe(value)}; expected an integer from {least} to {most}")
        return int(value)

    def blocks_of_32(self, key: str, least: int, most: int) -> int:
        """Return an integer of [least, most] that is a multiple of 32: what the kernels' blocks need."""
        value = self.integer(key, least, most)
        if value % 32 != 0:
            self.fail(key, f"is {value}; expected a multiple of 32")
        return value

    def number(self, key: str, least: float, most: float, fallback: float | None = None) -> float:
        """Return a number of [least, most]."""
        if fallback is not None and self.find(key) is None:
            return fallback
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self.fail(key, f"is {describe(value)}; expected a number from {least:g} to {most:g}")
        return float(value)

    def boolean(self, key: str, fallback: bool) -> bool:
        """Return a boolean."""
        value = self.find(key)
        if value is None:
            return fallback
        if not isinstance(value, bool):
            self.fail(key, f"is {describe(value)}; expected true or false")
        return value

    def string(self, key: str) -> str:
        """Return a string."""
        value = self.get(key)
        if not isinstance(value, str):
            self.fail(key, f"is {describe(value)}; expected a string")
        return value

    def object(self, key: str) -> JsonFields:
        """Return the fields of an object."""
        value = self.get(key)
        if not isinstance(value, dict):
            self.fail(key, f"is {describe(value)}; expected an object")
        return JsonFields(value, self.file, self.full_name(key))

    def allow_only(self, keys: Iterable[str]) -> None:
        """Raise ModelFormatError for the first key that is none of `keys`."""
        for key in sorted(self._members):
            if key not in keys:
                self.fail(printable(key), "is not a field of this format version; remove it or update mtp-rt")

    def kind(self, key: str) -> str:
        """Return the name of a kind of stored matrices: f32, bf16, q8, q4 or mixed."""
        value = self.string(key)
        if value not in {"f32", "bf16", "q8", "q4", "mixed"}:
            self.fail(key, f"is {describe(value)}; expected f32, bf16, q8, q4 or mixed")
        return value
