"""Size of the release wheel, built from this checkout.

    python benchmarks/wheel.py [--cuda]

Builds with the settings of CONTRIBUTING.md ("Releases") into a temporary folder; --cuda: with the CUDA part
for all its architectures, which needs nvcc 13. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cuda", action="store_true", help="with the CUDA part")
    settings = {"MTP_RT_TESTING": "OFF", "MTP_RT_CUDA": "ON" if parser.parse_args().cuda else "OFF"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, str(ROOT)]
        subprocess.run(command, env={**os.environ, **settings}, stdout=sys.stderr, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            members = sorted(archive.infolist(), key=lambda member: -member.file_size)
        result = {
            "wheel": wheel.name,
            "wheel_bytes": wheel.stat().st_size,
            "installed_bytes": sum(member.file_size for member in members),
            "largest": {member.filename: member.file_size for member in members[:5]},
            "largest_compressed": {member.filename: member.compress_size for member in members[:5]},
        }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
