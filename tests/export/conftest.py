"""Exported models. Without onnx and onnxruntime (the extra `export`) these tests are not collected."""

from __future__ import annotations

import importlib.util

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
collect_ignore_glob = [] if HAS_ONNX else ["test_*.py"]
