"""One graph -> one plan, through the parser and builder of TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from mtp_rt.errors import EngineError, UnsupportedError
from mtp_rt.export.tensorrt.buckets import Bucket
from mtp_rt.export.tensorrt.library import Library
from mtp_rt.export.tensorrt.mapping import CACHE_WRITE, Operators, fallbacks, operator_mapping

_MAX_MESSAGES = 5


@dataclass(frozen=True)
class Plan:
    """A built plan.

    Attributes:
        data: its bytes, in the builder's memory.
        operators: which layers were made of which operators.
        fallbacks: what became something else than the layer of its own.
    """

    data: memoryview
    operators: Operators
    fallbacks: list[str]


class Builder:
    """Builds the plans of one export; they share a timing cache.

    Args:
        library: TensorRT.
        timing_cache: what an earlier export measured, or nothing.
    """

    def __init__(self, library: Library, timing_cache: bytes = b"") -> None:
        self.library = library
        self.timing_cache = timing_cache
        self._trt = library.module
        self._log = _log_of(self._trt)
        try:
            self._builder = self._trt.Builder(self._log)
        except Exception as error:  # pybind11 raises TypeError for a null pointer, others are possible
            raise UnsupportedError(f"{library}: no builder: {self._log.said() or error}") from None

    def build(self, file: Path, graph: ModelProto, buckets: Sequence[Bucket]) -> Plan:
        """Return the plan of `file`, which holds `graph` and whose weights lie beside it.

        Raises:
            EngineError: TensorRT refuses it; says at which node.
        """
        self._log.errors.clear()  # of the plan before
        network = self._builder.create_network(
            1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        )
        parser = self._trt.OnnxParser(network, self._log)
        if not parser.parse_from_file(str(file)):
            raise EngineError(f"{self.library}: parsing {file.name}: {_parser_errors(parser)}")
        operators = operator_mapping(graph, network)
        lost = fallbacks(graph, operators)
        if any(CACHE_WRITE in text for text in lost):
            raise EngineError(
                f"{self.library}: {file.name}: caches are not written in place: {', '.join(lost)}"
            )
        config = self._builder.create_builder_config()
        config.profiling_verbosity = self._trt.ProfilingVerbosity.DETAILED
        cache = None
        if self.library.gpu is not None:  # what builds for GPUs that are not here measures nothing
            cache = timing_cache(config, self.timing_cache)
        for bucket in buckets:
            config.add_optimization_profile(self._profile(network, bucket))
        plan = self._builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(
                f"{self.library}: building {file.name}: {self._log.said() or 'no reason given'}"
            )
        if cache is not None:
            self.timing_cache = bytes(cache.serialize())
        return Plan(memoryview(plan), operators, lost)

    def _profile(self, network: Any, bucket: Bucket) -> Any:
        profile = self._builder.create_optimization_profile()
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            shapes = [
                tuple(
                    size if size >= 0 else self._size(tensor.name, axis, bucket, which)
                    for axis, size in enumerate(tensor.shape)
                )
                for which in range(3)
            ]
            profile.set_shape(tensor.name, *shapes)
        return profile

    @staticmethod
    def _size(name: str, axis: int, bucket: Bucket, which: int) -> int:
        """Return a size that calls choose: axis 0 is always the batch."""
        if axis == 0:
            return bucket.batch[which]
        return (bucket.rows if name == "rows" else bucket.width)[which]


def timing_cache(config: Any, kept: bytes) -> Any:
    """Return the cache that `config` uses from now on: empty where TensorRT refuses what was kept."""
    cache = config.create_timing_cache(kept)
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _log_of(trt: Any) -> Any:
    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps errors; warnings of the parser are about types that our graphs mean as they are."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.errors.append(message)

        def said(self) -> str:
            return "; ".join(self.errors[-_MAX_MESSAGES:])

    return Log()


def _parser_errors(parser: Any) -> str:
    errors = [parser.get_error(index) for index in range(min(parser.num_errors, _MAX_MESSAGES))]
    return "; ".join(f"node {error.node_name() or '(none)'}: {error.desc()}" for error in errors)
