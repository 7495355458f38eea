"""Readers do arithmetic on numbers from a file through io/checked.h only.

Sums and products elsewhere in cpp/src/io were reviewed: they are listed here with the reason why they cannot
overflow. A new one goes through checked.h or joins the list with its reason.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from repository import files, name

CHECKED = "checked.h"
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
COMMENT = re.compile(r"//.*$")
ARITHMETIC = re.compile(r"(?<![*&(])\s[*+]=?\s|(?<=\w)[*+](?=\w)")
TEXT = re.compile(r'""|std::string\b|to_string\(|describe\(|printable\(|shown\(|expected \+|text \+')

REVIEWED = {
    # mapped_file.cpp: `filled` never passes text.size(); addresses of a mapping that exists.
    "const ssize_t count = ::read(file.descriptor(), text.data() + filled, text.size() - filled);",
    "filled += static_cast<std::size_t>(count);",
    "const auto first = reinterpret_cast<std::uintptr_t>(part.data()) / page * page;",
    "const auto last = reinterpret_cast<std::uintptr_t>(part.data()) + part.size();",
    # model_layout.cpp: indices below the size of a span; products of two fields whose ranges were checked.
    "for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {",
    "std::memcpy(&bits, bytes.data() + i, sizeof bits);",
    "std::memcpy(&id, view.bytes.subspan(static_cast<std::size_t>(i) * sizeof id).data(), sizeof id);",
    "const std::int64_t query_rows = std::int64_t{config.heads} * config.head_dim;",
    "const std::int64_t kv_rows = std::int64_t{config.kv_heads} * config.head_dim;",
    # heads_layout.cpp: products of a hidden size and a small number.
    "const std::int64_t inputs = sequential ? 2 * hidden : hidden;",
    "const std::int64_t tapped = static_cast<std::int64_t>(heads.taps.size()) * hidden;",
    "if (int{plain} + int{q8} + int{q4} > 1) {",
    # protobuf.cpp: a constant, below 64.
    "for (unsigned shift = 0; shift < 64; shift += 7) {",
    # safetensors.cpp: constants, and offsets that were compared with the file's size one line before.
    "length |= static_cast<std::uint64_t>(std::to_integer<unsigned char>(file_[i])) << (8 * i);",
    "const std::string_view text(reinterpret_cast<const char*>(file_.data()) + kLengthBytes,",
    "stored.begin = data_start_ + static_cast<std::size_t>(begin);",
    "stored.end = data_start_ + static_cast<std::size_t>(end);",
}


def arithmetic(path: Path) -> list[str]:
    """Lines of `path` with a + or * whose operands are not text."""
    lines = [COMMENT.sub("", STRING.sub('""', line)).strip() for line in path.read_text().splitlines()]
    return [line for line in lines if ARITHMETIC.search(line) and not TEXT.search(line)]


@pytest.mark.parametrize(
    "path", [p for p in files("cpp/src/io", suffixes={".h", ".cpp"}) if p.name != CHECKED], ids=name
)
def test_arithmetic_is_checked_or_reviewed(path: Path) -> None:
    assert [line for line in arithmetic(path) if line not in REVIEWED] == []


def test_the_list_holds_only_what_is_there() -> None:
    present = {line for path in files("cpp/src/io", suffixes={".h", ".cpp"}) for line in arithmetic(path)}
    assert sorted(REVIEWED - present) == []


def test_the_rule_sees_a_raw_product(tmp_path: Path) -> None:
    """The rule on lines that it must and must not report."""
    source = tmp_path / "reader.cpp"
    source.write_text(
        'a = rows * cols;  // x * y\nend += size;\nfail("a + b" + std::to_string(n));\nint* p;\n'
    )
    assert arithmetic(source) == ["a = rows * cols;", "end += size;"]
