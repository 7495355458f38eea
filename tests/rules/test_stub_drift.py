"""The committed stub of the native module against the one that nanobind generates from the module."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

COMMITTED = ROOT / "python" / "mtp_rt" / "_core.pyi"


def parameters(function: ast.FunctionDef) -> list[tuple[str, str, bool]]:
    """(name, kind, has a default) of each parameter, in order."""
    a = function.args
    positional = a.posonlyargs + a.args
    defaults = [False] * (len(positional) - len(a.defaults)) + [True] * len(a.defaults)
    found = [
        (p.arg, "positional only" if p in a.posonlyargs else "positional", d)
        for p, d in zip(positional, defaults, strict=True)
    ]
    found += [(p.arg, "keyword", d is not None) for p, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return found


def declarations(body: list[ast.stmt], prefix: str = "") -> dict[str, object]:
    """Every public name that a stub declares: a function's parameters, or "attribute" or "class"."""
    found: dict[str, object] = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            found[prefix + node.name] = "class"
            found |= declarations(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            is_attribute = any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list)
            is_setter = any(isinstance(d, ast.Attribute) for d in node.decorator_list)
            if not is_setter:
                found[prefix + node.name] = "attribute" if is_attribute else parameters(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[prefix + node.target.id] = "attribute"
    return {key: value for key, value in found.items() if is_public(key)}


def is_public(name: str) -> bool:
    last = name.rsplit(".", 1)[-1]
    return last == "__init__" or not last.startswith("_")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> ast.Module:
    stub = tmp_path_factory.mktemp("stub") / "_core.pyi"
    subprocess.run(
        [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "mtp_rt._core", "-o", stub], check=True
    )
    return ast.parse(Path(stub).read_text())


def test_names_and_signatures_agree(generated: ast.Module) -> None:
    assert declarations(ast.parse(COMMITTED.read_text()).body) == declarations(generated.body)
