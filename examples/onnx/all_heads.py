"""Greedy decoding with all heads: all_heads.onnx checks the drafts of the run before and makes the next ones.

python all_heads.py MODEL_DIR "Once upon a time" 64
"""

import json
import sys
from pathlib import Path

from graph import Graph
from tokenizers import Tokenizer

folder, prompt, max_tokens = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
committed = tokenizer.encode(prompt).ids
ends = json.loads((folder / "config.json").read_text())["eos_token_id"] or []
heads = Graph(folder / "all_heads.onnx", capacity=len(committed) + max_tokens + 16)

out = heads.run_chain(committed, 0, rows=[len(committed) - 1])
chosen, drafts = out["ids"][0, 0], out["draft_ids"][0, 0].tolist()
answer, steps = [int(chosen)], 1
while len(answer) < max_tokens and not set(answer) & set(ends if isinstance(ends, list) else [ends]):
    rows = [answer[-1], *drafts]
    out = heads.run_chain(rows, len(committed) + len(answer) - 1, rows=list(range(len(rows))))
    chosen = out["ids"][0].tolist()  # what the model itself says behind each row
    kept = next((i for i, draft in enumerate(drafts) if draft != chosen[i]), len(drafts))
    answer += chosen[: kept + 1]
    drafts, steps = out["draft_ids"][0, kept].tolist(), steps + 1

print(tokenizer.decode(answer))
print(f"{len(answer)} tokens in {steps} runs", file=sys.stderr)
