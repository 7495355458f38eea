"""What differs between two descriptions of a model, for errors."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import fields
from typing import TypeVar

from mtp_rt.model_dir import HeadsConfig, ModelConfig

Config = TypeVar("Config", ModelConfig, HeadsConfig)


def differences(found: Config, wanted: Config, free: Set[str]) -> str:
    """Return the fields that differ, with both values; empty: none does.

    Args:
        found: one description.
        wanted: the other one.
        free: fields that may differ; every other one is compared, those to come as well.
    """
    pairs = {
        field.name: (getattr(found, field.name), getattr(wanted, field.name))
        for field in fields(found)
        if field.name not in free
    }
    return ", ".join(f"{name} {a!r}, not {b!r}" for name, (a, b) in pairs.items() if a != b)
