"""The files that the rules speak about."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CPP_SUFFIXES = {".h", ".cpp", ".inl", ".cu", ".cuh"}
NOT_OURS = {"build", "dist", ".git", ".venv", "__pycache__"}


def files(*folders: str, suffixes: set[str]) -> list[Path]:
    """Return the sources below `folders` of the repository, sorted, build outputs left out."""
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes and not NOT_OURS & set(path.relative_to(ROOT).parts)
    ]


def python_files() -> list[Path]:
    """Return every Python source of the repository."""
    return files("python", "export", "tests", "benchmarks", "examples", suffixes={".py"})


def cpp_files() -> list[Path]:
    """Return every C++ and CUDA source of the repository."""
    return files("cpp", "cuda", "tests", "examples", suffixes=CPP_SUFFIXES)


def name(path: Path) -> str:
    """Return `path` as people write it: relative to the repository."""
    return path.relative_to(ROOT).as_posix()
