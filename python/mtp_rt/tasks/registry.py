"""Tasks by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtp_rt.errors import ArgumentError
from mtp_rt.tasks.experiment import ExperimentConfig, Task
from mtp_rt.tasks.induction import Induction, InductionConfig
from mtp_rt.tasks.path_star import PathStar, PathStarConfig
from mtp_rt.training.pretrain.settings import build

TASKS = {"path_star": (PathStar, PathStarConfig), "induction": (Induction, InductionConfig)}


def open_task(name: str, tables: Mapping[str, Any]) -> tuple[Task, ExperimentConfig]:
    """Return a task and how it is trained, from the tables `task` and `fit`.

    Raises:
        ArgumentError: no such task, table or field, or a value that does not fit.
    """
    if name not in TASKS:
        raise ArgumentError(f"task:{name}: no such task; known: {', '.join(TASKS)}")
    for table in tables:
        if table not in {"task", "fit"}:
            raise ArgumentError(f"task:{name}: {table}: no such table; known: task, fit")
    kind, config = TASKS[name]
    where = f"task:{name}"
    fit = build(ExperimentConfig, tables.get("fit", {}), where, "fit.")
    return kind(build(config, tables.get("task", {}), where, "task.")), fit
