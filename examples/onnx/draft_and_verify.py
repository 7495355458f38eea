"""Greedy decoding by hand: verify.onnx checks drafts, draft.onnx makes one per run.

For sequential heads that do not attend.

python draft_and_verify.py MODEL_DIR "Once upon a time" 64 3
"""

import json
import sys
from pathlib import Path

import numpy as np
from graph import Graph
from tokenizers import Tokenizer

folder, prompt, max_tokens, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
committed = tokenizer.encode(prompt).ids
ends = json.loads((folder / "config.json").read_text())["eos_token_id"] or []
trunk = Graph(folder / "verify.onnx", capacity=len(committed) + max_tokens + count + 1)
files = [folder / "draft.onnx", *(folder / f"draft_{depth}.onnx" for depth in range(2, 16))]
modules = [Graph(file, capacity=0) for file in files if file.exists()]  # one, or one for each depth

out = trunk.run_chain(committed, 0, rows=[len(committed) - 1])
answer, state, steps = [int(out["logits"][0, 0].argmax())], out["state"][:, -1:], 1
while len(answer) < max_tokens and not set(answer) & set(ends if isinstance(ends, list) else [ends]):
    rows = [answer[-1]]
    for k in range(count):
        draft = modules[min(k, len(modules) - 1)].run(state=state, tokens=np.array([rows[-1:]]))
        rows.append(int(draft["ids"][0, 0]))
        state = draft["next_state"]
    out = trunk.run_chain(rows, len(committed) + len(answer) - 1, rows=list(range(len(rows))))
    chosen = out["logits"][0].argmax(-1).tolist()  # what the model itself says behind each row
    kept = next((i for i, draft in enumerate(rows[1:]) if draft != chosen[i]), count)
    answer += chosen[: kept + 1]
    state, steps = out["state"][:, kept : kept + 1], steps + 1

print(tokenizer.decode(answer))
print(f"{len(answer)} tokens in {steps} runs", file=sys.stderr)
