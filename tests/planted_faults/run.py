"""Plants one fault at a time and demands that a test notices.

    python tests/planted_faults/run.py [--quick] [--only NAME ...] [--json]

Each `*.json` beside this file holds a list of faults: `name`, `file` (relative to the repository), `old`
(text that occurs once in it), `new`, and `tests` (pytest arguments that must fail once `old` reads
`new`). The tree is copied to a temporary directory and built there once; each fault then costs an
incremental build and its tests. The tests must pass on the unharmed copy first and on the healed one last.
Exit status 1 if they do not, or if a fault survives.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).resolve().parent
HANG_SECONDS = 300
SOUND_SECONDS = 3600  # for the tests of all faults together, on a sound tree
TESTS_FAILED = 1  # pytest's exit status; others mean that it could not run them


@dataclasses.dataclass(frozen=True)
class Fault:
    """A one-place change that breaks a promise, and the tests that must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]


class Workshop:
    """A copy of the tree with its own build and its own installed package."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self._build = folder / "build"
        self._site = folder / "site"
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)
        # SKBUILD: the layout of the wheel, so that the package can be imported from the site folder.
        options = ["-DSKBUILD=ON", "-DMTP_RT_WERROR=OFF", f"-DPython_EXECUTABLE={sys.executable}"]
        self._call("cmake", "-S", str(self.tree), "-B", str(self._build), "-G", "Ninja", *options)

    def install(self) -> None:
        """Build what changed and put the package where `test` finds it."""
        self._call("cmake", "--build", str(self._build))
        self._call("cmake", "--install", str(self._build), "--prefix", str(self._site))
        shutil.copytree(self.tree / "python" / "mtp_rt", self._site / "mtp_rt", dirs_exist_ok=True)
        shutil.copytree(self.tree / "export", self._site / "mtp_rt" / "export", dirs_exist_ok=True)

    def test(self, tests: list[str], seconds: int = HANG_SECONDS) -> tuple[int, str]:
        """Return pytest's exit status (negative: ended by that signal; 124: hung) and its last line."""
        environment = os.environ | {"PYTHONPATH": str(self._site), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(
                command,
                cwd=self.tree,
                env=environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 124, f"no end after {seconds} s"
        return done.returncode, (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]

    @staticmethod
    def _call(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def read_faults(only: list[str], quick: bool) -> list[Fault]:
    """Return the faults to plant: those named in `only`, all where it is empty; if `quick` one of each list.

    Raises:
        ValueError: a name is used twice or unknown, or a fault's `old` text does not occur exactly once.
    """
    lists = [
        [Fault(**entry) for entry in json.loads(file.read_text())] for file in sorted(FAULTS.glob("*.json"))
    ]
    faults = [fault for one in lists for fault in one]
    names = [fault.name for fault in faults]
    if wrong := [name for name in names if names.count(name) > 1] + [
        name for name in only if name not in names
    ]:
        raise ValueError(f"faults named twice or unknown: {wrong}")
    for fault in faults:
        if (found := (ROOT / fault.file).read_text().count(fault.old)) != 1:
            raise ValueError(
                f"{fault.name}: its old text occurs {found} times in {fault.file}; it must be once"
            )
    return [fault for one in lists for fault in one[: 1 if quick else None] if not only or fault.name in only]


def outcome(workshop: Workshop, fault: Fault) -> tuple[str, str]:
    """Plant `fault`, run its tests, heal the tree. Return ("killed" or "SURVIVED" or "INVALID", detail)."""
    victim = workshop.tree / fault.file
    sound = victim.read_text()
    try:
        victim.write_text(sound.replace(fault.old, fault.new))
        workshop.install()
        status, detail = workshop.test(fault.tests)
    except RuntimeError as error:
        return "INVALID", f"does not build: {error}"
    finally:
        victim.write_text(sound)
    if status == 0:
        return "SURVIVED", detail
    killed = status == TESTS_FAILED or status < 0 or status == 124
    return ("killed" if killed else "INVALID"), detail


def plant_all(faults: list[Fault]) -> list[dict[str, Any]]:
    """Return the verdict on each fault, or nothing if the tests fail on the tree before or after."""
    tests = sorted({test for fault in faults for test in fault.tests})
    results = []
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder))
        if not is_sound(workshop, tests, "unharmed tree"):
            return []
        for fault in faults:
            start = time.monotonic()
            verdict, detail = outcome(workshop, fault)
            seconds = round(time.monotonic() - start, 1)
            report(f"{verdict:8}  {fault.name}  ({seconds:.0f} s)  {detail}")
            results.append({"name": fault.name, "file": fault.file, "verdict": verdict, "seconds": seconds})
        return results if is_sound(workshop, tests, "healed tree") else []


def is_sound(workshop: Workshop, tests: list[str], state: str) -> bool:
    workshop.install()
    status, detail = workshop.test(tests, SOUND_SECONDS)
    report(f"{state}: {detail}")
    return status == 0


def report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Plant the faults and say of each whether a test noticed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="the first fault of each list only")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    arguments = parser.parse_args()
    results = plant_all(read_faults(arguments.only, arguments.quick))
    killed = sum(result["verdict"] == "killed" for result in results)
    report(f"{killed} of {len(results)} faults killed")
    if arguments.json:
        print(json.dumps({"planted": len(results), "killed": killed, "faults": results}))
    return 0 if results and killed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
