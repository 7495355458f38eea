"""Writes classes that stand for TensorRT's own: python stubs.py HEADERS OUT.h

TensorRT's public classes forward each call to an abstract class of NvInferImpl.h. A fake needs a handful of
its functions, but has to define them all, and which there are differs from version to version: they are read
from HEADERS, the folder of NvInferImpl.h. What a fake does not override ends the process.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CLASSES = ("Runtime", "CudaEngine", "ExecutionContext")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
ABSTRACT = re.compile(r"^\s*#[^\n]*|\bvirtual\s+([^;{}]*?)\s*=\s*0\s*;", re.MULTILINE)


def stub(name: str, text: str) -> str:
    """Return a class Stub`name` that overrides every function of V`name` in `text`."""
    found = re.search(rf"class V{name} : public VRoot\s*\{{(.*?)^\}};", text, re.DOTALL | re.MULTILINE)
    if found is None:
        sys.exit(f"NvInferImpl.h has no class V{name}")
    lines = [f"class Stub{name} : public nvinfer1::apiv::V{name} {{", " public:"]
    for match in ABSTRACT.finditer(found.group(1)):
        signature = match.group(1)
        lines.append(
            f"  {' '.join(signature.split())} override {{ std::abort(); }}"
            if signature
            else match.group().strip()
        )
    return "\n".join([*lines, "};", ""])


def main() -> None:
    """Write the header."""
    headers, out = map(Path, sys.argv[1:])
    text = COMMENT.sub("", (headers / "NvInferImpl.h").read_text())
    classes = "\n".join(stub(name, text) for name in CLASSES)
    parts = ["#pragma once", "#include <NvInferRuntime.h>", "#include <cstdlib>"]
    parts += ["namespace mtp_rt::testing {", "using namespace nvinfer1;", classes, "}"]
    out.write_text("\n".join([*parts, ""]))


if __name__ == "__main__":
    main()
