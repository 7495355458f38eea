"""Generates with an installed mtp_rt that has nothing of the repository: python smoke.py MODEL_DIR"""

from __future__ import annotations

import platform
import sys

from mtp_rt import LLM, SamplingParams

result = LLM(sys.argv[1]).generate([1, 2, 3], SamplingParams(max_tokens=8))
print(f"Python {platform.python_version()}: {result.token_ids}")
