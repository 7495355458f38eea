"""A model directory -> a model directory with ONNX graphs, or with weights of other kinds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mtp_rt.convert.assemble import Kinds, Progress
from mtp_rt.errors import ArgumentError, UnsupportedError
from mtp_rt.export.requantize import described, tensors_in, wanted_kinds
from mtp_rt.model_dir import ModelDir, Tensor, carried_files, read_model_dir, write_model_dir
from mtp_rt.model_dir.config import CONFIG_FILE

OPSETS = (24, 21)  # newest first

Derive = Callable[[ModelDir], dict[str, bytes | memoryview]]


@dataclass(frozen=True)
class TensorRtOptions:
    """How TensorRT plans are built.

    Attributes:
        contexts: positions of a sequence; each makes plans of its own. None: one, of at most 2,048.
        batch: sequences of a decoding step, at most. None: 4.
        library: "tensorrt_rtx" or "tensorrt". None: what fits this machine.
        timing_cache: a folder that keeps what the builder measured, for later exports.
    """

    contexts: Sequence[int] | None = None
    batch: int | None = None
    library: str | None = None
    timing_cache: Path | None = None


def export_model(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    onnx: bool = False,
    opset: int = 24,
    tensorrt: TensorRtOptions | None = None,
    quantize: str | None = None,
    lm_head: str | None = None,
    symmetric: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the model directory `source` to `target`, which appears complete or not at all.

    The graphs hold no weights: they point into the model.safetensors beside them. Other files are copied.

    Args:
        source: a model directory.
        target: the one to write; may be `source` with `replace`.
        onnx: add verify.onnx and, where the model has extra heads, the draft graphs and all_heads.onnx; of
            graphs that attend also the form for one sequence, which ONNX Runtime runs sooner.
        opset: of the graphs: 24, or 21 for runtimes that lack its operators.
        tensorrt: add plans of the trunk and the draft graphs, and the record of what they fit.
        quantize: kind of the matrices of layers and heads: "f32", "bf16", "q8" or "q4"; None: as they are.
        lm_head: kind of the embedding, the output matrix and the output matrices of heads, likewise.
        symmetric: q4 matrices get blocks around 0: a little less exact, and sooner where graphs run.
        replace: replace a directory at `target` that is not empty.
        progress: called with (what, done, total).

    Raises:
        ArgumentError: nothing is asked for, an option has no such value, or `target` is not empty.
        ModelFormatError: `source` is no model directory or a damaged one.
        UnsupportedError: the package onnx is missing, or a TensorRT that builds here.
        EngineError: TensorRT refuses a graph.
        OSError: the disk is full or not writable.
    """
    asked = Kinds.from_options(quantize, lm_head)
    if not onnx and tensorrt is None and asked == Kinds(None, None) and not symmetric:
        raise ArgumentError("nothing to export: ask for onnx, tensorrt, quantize, lm_head or symmetric")
    if onnx or tensorrt is not None:
        _check_graphs(opset)
    model = read_model_dir(source)
    derived: list[Derive] = [partial(_graphs, opset=opset, progress=progress)] if onnx else []
    if tensorrt is not None:
        derived.append(_plans(model, tensorrt, progress))
    config = json.loads((model.path / CONFIG_FILE).read_bytes())
    kinds = wanted_kinds(model, asked.layers, asked.head)
    if symmetric and "q4" not in kinds.values():
        raise ArgumentError("symmetric: no matrix would be q4; ask for quantize or lm_head of that kind too")
    if kinds != model.kinds:
        config["mtp_rt"] = described(config["mtp_rt"], model, kinds)
    write_model_dir(
        target,
        config,
        _counted(tensors_in(model, kinds, symmetric=symmetric), len(model.tensors), progress),
        carried_files(model),
        derive=lambda written: {name: file for derive in derived for name, file in derive(written).items()},
        replace=replace,
    )


def _check_graphs(opset: int) -> None:
    if opset not in OPSETS:
        raise ArgumentError(f"opset: {opset} is not 24, or 21 for runtimes that lack its operators")
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise UnsupportedError(
            "export to ONNX needs the package onnx: pip install 'mtp-rt[export]'"
        ) from None


def _counted(tensors: Iterator[Tensor], total: int, progress: Progress | None) -> Iterator[Tensor]:
    for done, tensor in enumerate(tensors):
        if progress is not None:
            progress("writing weights", min(done, total), total)
        yield tensor


def _plans(model: ModelDir, options: TensorRtOptions, progress: Progress | None) -> Derive:
    """Return what builds the plans, options checked and TensorRT opened before anything is written."""
    from mtp_rt.export.tensorrt.buckets import shapes_of
    from mtp_rt.export.tensorrt.library import open_library
    from mtp_rt.export.tensorrt.plans import plans_of

    shapes = shapes_of(model.config, options.contexts, options.batch)
    library = open_library(options.library)
    return lambda written: plans_of(written, library, shapes, options.timing_cache, progress)


def _graphs(model: ModelDir, opset: int, progress: Progress | None) -> dict[str, bytes | memoryview]:
    from mtp_rt.export.check import check_structure
    from mtp_rt.export.graphs.all_heads import all_heads_graph
    from mtp_rt.export.graphs.draft import draft_graphs
    from mtp_rt.export.graphs.trunk import verify_graph
    from mtp_rt.export.portable import OneSequence, Portable, single_file

    if progress is not None:
        progress("writing graphs", 0, 1)
    form = Portable(opset)
    graphs: dict[str, Any] = {"verify.onnx": verify_graph(model, form)}
    heads = model.config.extra_heads
    if heads is not None:
        graphs |= {**draft_graphs(model, form), "all_heads.onnx": all_heads_graph(model, form)}
    if opset == OPSETS[0]:  # runtimes that need an older one lack what GroupQueryAttention is asked for too
        single = {"verify.onnx": verify_graph(model, OneSequence())}
        if heads is not None and heads.body == "block":
            single |= draft_graphs(model, OneSequence())
        graphs |= {single_file(name): graph for name, graph in single.items()}
    for name, graph in graphs.items():
        check_structure(graph, name, model)
    if progress is not None:
        progress("writing graphs", 1, 1)
    return {name: graph.SerializeToString(deterministic=True) for name, graph in graphs.items()}
