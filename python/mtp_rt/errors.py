"""Every error the library raises on purpose. The native runtime raises the same classes.

A message says where (file and field, or argument), what was found and what to do.
"""

from __future__ import annotations


class Error(RuntimeError):
    """Base of the library's errors."""


class ModelFormatError(Error):
    """A file of a model is missing, damaged or not what its header says.

    Args:
        file: the file's name or path.
        field: the field or tensor within it; may be empty.
        problem: what was found and what to do.
    """

    def __init__(self, file: str, field: str, problem: str) -> None:
        super().__init__(file, field, problem)
        self.file = file
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.field, self.problem) if part)


class UnsupportedError(Error):
    """The request is well formed, but this build, machine or engine cannot do it."""


class CapacityError(Error):
    """More rows, slots or positions were asked for than the engine was opened with."""


class EngineError(Error):
    """An engine failed while computing."""


class ArgumentError(Error, ValueError):
    """An argument lies outside its documented range. The message names the argument and the range."""


class ModelNotFoundError(Error):
    """A name is neither a model directory nor a known model."""


class DownloadError(Error):
    """A model could not be fetched; what was there before is untouched."""
