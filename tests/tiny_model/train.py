"""Trains the tiny Llama that the tests share, and writes it as a model directory.

    PYTHONPATH=tests python -m tiny_model.train OUT

Under two minutes on one core. Seeded; the weights repeat bit for bit only on the same PyTorch build and kind
of CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from tiny_model.corpus import CHAT_TEMPLATE, SPECIAL_TOKENS, documents, read_files
from tiny_model.store import interleave, write_llama

SEED = 3
VOCAB_SIZE = 512
STEPS, BATCH, WINDOW = 1000, 8, 256
MUON_RATE, ADAM_RATE, WARMUP = 0.02, 6e-3, 30
ROPE_THETA = 10000.0
MARGIN = 3.0  # of the two-stage head: some entries are scored exactly, most are not
README = Path(__file__).with_name("MODEL.md")


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Return a byte-level BPE of VOCAB_SIZE tokens; the special tokens are ids 0, 1, 2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def model_config() -> LlamaConfig:
    """Return the shape: small, but with grouped heads, heads x head_dim != hidden, and odd block counts."""
    return LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        rope_theta=ROPE_THETA,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=[0, 2],
        initializer_range=0.08,
    )


def rate_factor(step: int) -> float:
    """Return the learning rate of `step` over the peak: linear warm-up, then a cosine down to a twentieth."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizers(model: LlamaForCausalLM) -> list[tuple[torch.optim.Optimizer, float]]:
    """Return (optimizer, peak rate): Muon for the matrices inside layers, AdamW for the rest."""
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    outer = [p for name, p in model.named_parameters() if p.ndim == 1 or ".layers." not in name]
    return [
        (torch.optim.Muon(inner, weight_decay=0.01), MUON_RATE),
        (torch.optim.AdamW(outer, betas=(0.9, 0.95), weight_decay=0.01), ADAM_RATE),
    ]


def train(ids: torch.Tensor) -> LlamaForCausalLM:
    """Return a model trained on random windows of `ids` [tokens]."""
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(model_config())
    optimizers = make_optimizers(model)
    for step in range(STEPS):
        for optimizer, peak in optimizers:
            optimizer.param_groups[0]["lr"] = peak * rate_factor(step)
        starts = torch.randint(0, len(ids) - WINDOW, (BATCH,))
        windows = torch.stack([ids[s : s + WINDOW] for s in starts.tolist()])
        loss = model(input_ids=windows, labels=windows, use_cache=False).loss
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
        if step % 100 == 0 or step == STEPS - 1:
            print(f"step {step:4d}  loss {loss.item():.3f} nats per token", flush=True)
    return model.eval()


def save(model: LlamaForCausalLM, tokenizer: Tokenizer, target: Path) -> None:
    """Write `target`, replacing it: q4 layers, q8 embedding and head, two-stage head, interleaved rope."""
    config = model.config
    weights = {
        name: interleave(values, config.head_dim) if ".q_proj." in name or ".k_proj." in name else values
        for name, values in ((n, t.float().numpy()) for n, t in model.state_dict().items())
        if name != "lm_head.weight"
    }
    fields = (
        "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
        "vocab_size max_position_embeddings rms_norm_eps tie_word_embeddings bos_token_id eos_token_id"
    )
    shutil.rmtree(target, ignore_errors=True)
    write_llama(
        target,
        {name: getattr(config, name) for name in fields.split()} | {"rope_theta": ROPE_THETA},
        weights,
        layers="q4",
        lm_head="q8",
        rope_layout="interleaved",
        margin=MARGIN,
        source={"name": "tiny", "file": "tests/tiny_model/train.py", "license": "PSF-2.0"},
        extra_files={
            "tokenizer.json": (
                json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n"
            ).encode(),
            "chat_template.jinja": CHAT_TEMPLATE.encode(),
            "README.md": README.read_bytes(),
        },
    )


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="model directory to write; replaced if it exists")
    target = parser.parse_args().target
    torch.set_num_threads(1)  # the order of sums, and so the weights, follow the number of threads
    texts = documents(read_files())
    tokenizer = train_tokenizer(texts)
    ids = torch.tensor([token for text in texts for token in tokenizer.encode(text).ids])
    print(f"{len(texts)} documents, {len(ids)} tokens", flush=True)
    save(train(ids), tokenizer, target)


if __name__ == "__main__":
    main()
