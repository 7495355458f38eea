"""Generates with an installed mtp_rt that has nothing of the repository: python smoke.py MODEL_DIR [--cuda]

--cuda: its CUDA part must be there too, open, and see a GPU or say why not.
"""

from __future__ import annotations

import platform
import sys

from mtp_rt import LLM, SamplingParams
from mtp_rt.cli.env import cuda

result = LLM(sys.argv[1]).generate([1, 2, 3], SamplingParams(max_tokens=8))
print(f"Python {platform.python_version()}: {result.token_ids}")
if "--cuda" in sys.argv:
    facts = cuda()
    reasons = ("no NVIDIA driver", "no GPU")
    if facts["part"] is None or not (facts["gpus"] or any(text in facts["problem"] for text in reasons)):
        sys.exit(f"the CUDA part does not open: {facts['problem']}")
    print(f"  CUDA part {facts['part']}: {facts['problem'] or facts['gpus']}")
