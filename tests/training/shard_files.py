"""Small shards of made-up text: sizes, periods and states are chosen by the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtp_rt.training.distill.shards import SPLITS, shard_path, write_shard


def write_states(
    folder: Path,
    texts: list[NDArray[np.int32]],
    states: list[NDArray[np.float32]],
    *,
    number: int = 0,
    splits: list[str] | None = None,
    prompt: int | list[int] = 2,
    candidates: int = 2,
    taps: list[NDArray[np.float32]] | None = None,
) -> None:
    """Write one shard. The teacher is sure of every next token; the first `prompt` tokens are no answer."""
    lengths = [len(text) for text in texts]
    tokens = np.concatenate(texts).astype(np.int32)
    prompts = [prompt] * len(texts) if isinstance(prompt, int) else prompt
    mask = np.concatenate([np.arange(n) >= own for n, own in zip(lengths, prompts, strict=True)])
    following = np.concatenate([np.append(text[1:], 0) for text in texts])
    top_ids = np.stack([following, *[(following + step) % 7 for step in range(1, candidates)]], axis=1)
    logprobs = np.full(top_ids.shape, -20.0)
    logprobs[:, 0] = 0.0
    arrays = {
        "tokens": tokens,
        "starts": np.cumsum([0, *lengths]).astype(np.int32),
        "dialogues": (np.arange(len(texts)) + 1000 * number).astype(np.int32),
        "splits": np.array([SPLITS[split] for split in splits or ["train", "dev"] * len(texts)], np.uint8)[
            : len(texts)
        ],
        "temperatures": np.zeros(len(texts), np.float16),
        "loss_mask": mask.astype(np.uint8),
        "states": np.concatenate(states).astype(np.float16),
        "top_ids": top_ids.astype(np.int32),
        "top_logprobs": logprobs.astype(np.float16),
    }
    if taps is not None:
        arrays["taps"] = np.concatenate(taps).astype(np.float16)
    write_shard(shard_path(folder, number), arrays, {})
