"""The plans of a model directory and the record that says what they fit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from mtp_rt.convert.assemble import Progress
from mtp_rt.convert.digest import sha256_of
from mtp_rt.export.graphs.draft import draft_file, draft_graph, draft_graph_count
from mtp_rt.export.graphs.trunk import verify_graph
from mtp_rt.export.tensorrt.buckets import PROMPT_WIDTH, STEP_WIDTH, Bucket, Shapes, capacity
from mtp_rt.export.tensorrt.form import TensorRtForm
from mtp_rt.export.tensorrt.library import Library
from mtp_rt.export.tensorrt.plan import Builder, Plan
from mtp_rt.model_dir import ModelDir
from mtp_rt.model_dir.safetensors import WEIGHTS_FILE
from mtp_rt.model_dir.whole import write_file
from mtp_rt.model_dir.writer import PLANS_RECORD

RECORD_VERSION = 1
_CONVERTED = "converted.bin"  # weights in other forms than model.safetensors holds, while plans are built


@dataclass(frozen=True)
class Wanted:
    """A plan to build.

    Attributes:
        file: its name.
        graph: which graph it runs: "verify", "draft", "draft_2", ...
        index: of a draft graph; None: the trunk.
        context: positions of a sequence; None where the graph has no caches.
        buckets: one for each profile.
    """

    file: str
    graph: str
    index: int | None
    context: int | None
    buckets: list[Bucket]


def plans_of(
    model: ModelDir, library: Library, shapes: Shapes, timing_cache: Path | None, progress: Progress | None
) -> dict[str, bytes | memoryview]:
    """Return the plans of `model` and their record, by file name.

    Args:
        model: a directory being written; a folder in it holds graphs and converted weights meanwhile.
        library: TensorRT.
        shapes: what the plans are made for.
        timing_cache: a folder that keeps what the builder measured, for later exports.
        progress: called with (what, done, total).

    Raises:
        EngineError: TensorRT refuses a graph.
        OSError: the disk is full or not writable.
    """
    kept = None if timing_cache is None else timing_cache / _cache_name(library)
    builder = Builder(library, kept.read_bytes() if kept is not None and kept.is_file() else b"")
    wanted = _wanted(model, shapes)
    files: dict[str, bytes | memoryview] = {}
    records = []
    for done, plan in enumerate(wanted):
        if progress is not None:
            progress(f"building {plan.file}", done, len(wanted))
        with _graph_file(model, plan) as (path, graph):
            built = builder.build(path, graph, plan.buckets)
            files[plan.file] = built.data
            records.append(_described(plan, path, built))
    if progress is not None:
        progress("building plans", len(wanted), len(wanted))
    if kept is not None and builder.timing_cache:
        _keep(kept, builder.timing_cache)
    record = _record(model, library, shapes) | {"plans": records}
    files[PLANS_RECORD] = json.dumps(record, indent=1).encode() + b"\n"
    return files


def _wanted(model: ModelDir, shapes: Shapes) -> list[Wanted]:
    heads = model.config.extra_heads
    plans = [
        Wanted(f"verify.{context}.engine", "verify", None, context, shapes.verify())
        for context in shapes.contexts
    ]
    if heads is None:
        return plans
    attends = heads.body == "block"
    contexts = shapes.contexts if attends else (None,)
    for index in range(draft_graph_count(model)):
        graph = draft_file(index).removesuffix(".onnx")
        for context in contexts:
            file = f"{graph}.engine" if context is None else f"{graph}.{context}.engine"
            plans.append(Wanted(file, graph, index, context, shapes.draft(attends)))
    return plans


@contextlib.contextmanager
def _graph_file(model: ModelDir, plan: Wanted) -> Iterator[tuple[Path, ModelProto]]:
    """Give the file of a plan's graph, all its weights beside it, while the block runs."""
    with tempfile.TemporaryDirectory(dir=model.path, prefix=".plans.") as name:
        folder = Path(name)
        (folder / WEIGHTS_FILE).symlink_to(Path("..") / WEIGHTS_FILE)
        with (folder / _CONVERTED).open("xb") as converted:
            form = TensorRtForm(capacity(plan.context or 1), _CONVERTED, converted)
            graph = _graph(model, plan, form)
        path = folder / f"{plan.graph}.onnx"
        write_file(path, graph.SerializeToString(deterministic=True))
        yield path, graph


def _graph(model: ModelDir, plan: Wanted, form: TensorRtForm) -> ModelProto:
    return verify_graph(model, form) if plan.index is None else draft_graph(model, plan.index, form)


def _described(plan: Wanted, path: Path, built: Plan) -> dict[str, Any]:
    return {
        "file": plan.file,
        "graph": plan.graph,
        "context": plan.context,
        "capacity": None if plan.context is None else capacity(plan.context),
        "bytes": built.data.nbytes,
        "sha256": hashlib.sha256(built.data).hexdigest(),
        "graph_sha256": sha256_of(path),
        "profiles": [asdict(bucket) for bucket in plan.buckets],
        "operators": built.operators,
        "fallbacks": built.fallbacks,
    }


def _record(model: ModelDir, library: Library, shapes: Shapes) -> dict[str, Any]:
    return {
        "format_version": RECORD_VERSION,
        "library": library.name,
        "version": library.version,
        "gpu": None if library.gpu is None else asdict(library.gpu),
        "weights_sha256": sha256_of(model.path / WEIGHTS_FILE),
        "batch": shapes.batch,
        "step_width": STEP_WIDTH,
        "prompt_width": PROMPT_WIDTH,
    }


def _cache_name(library: Library) -> str:
    place = "portable" if library.gpu is None else re.sub(r"[^A-Za-z0-9]+", "-", library.gpu.name)
    return f"{library.name}-{library.version}-{place}.timing"


def _keep(path: Path, content: bytes) -> None:
    """Replace a file of the timing cache; it saves time only, so a disk that is full costs no export."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            written = Path(folder) / path.name
            written.write_bytes(content)
            written.replace(path)
