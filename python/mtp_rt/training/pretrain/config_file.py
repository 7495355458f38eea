"""The tables of a config file, in TOML or YAML."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from mtp_rt.errors import ArgumentError, UnsupportedError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_YAML = (".yaml", ".yml")
# 1e-3 is a number in YAML 1.2; to the library, which reads YAML 1.1, it is text without this rule.
_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$")


def read_config(path: Path) -> dict[str, Any]:
    """Return the tables of a file: YAML where it is called .yaml or .yml, else TOML.

    Raises:
        ArgumentError: it cannot be read, or is not what its name says.
        UnsupportedError: YAML, without the library that reads it.
    """
    is_yaml = path.suffix.lower() in _YAML
    try:
        text = path.read_text(encoding="utf-8")
        return _yaml(text, path) if is_yaml else tomllib.loads(text)
    except OSError as error:
        raise ArgumentError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path}: is not {'YAML' if is_yaml else 'TOML'}: {error}") from error


def _yaml(text: str, path: Path) -> dict[str, Any]:
    if importlib.util.find_spec("yaml") is None:
        raise UnsupportedError(
            f"{path}: YAML needs pyyaml, which is not here: pip install 'mtp-rt[train]', or write TOML"
        )
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Plain values only; numbers with an exponent; every key a name, and none twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            made = dict(super().construct_mapping(node, deep))
            wrong = [key for key in made if not isinstance(key, str)]
            wrong += [key for key in written if written.count(key) > 1]
            if wrong:
                problem = f"{wrong[0]!r} is no name, or stands there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            return made

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    try:
        tables = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        raise ArgumentError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if tables is None:
        return {}
    if not isinstance(tables, dict):
        raise ArgumentError(f"{path}: is a {type(tables).__name__}; expected tables, as in docs/training.md")
    return tables
