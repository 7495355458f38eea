"""Chat prompts for the real model: tests and benchmarks decode the model's own answers to them."""

from __future__ import annotations

from pathlib import Path

from mtp_rt.tokenizer import Tokenizer

PROMPTS = [
    "Explain in three sentences why the sky is blue.",
    "Write a Python function that merges two sorted lists, with a docstring.",
    "A shop sells pens at 3 for 2 euros. What do 18 pens cost? Show your steps.",
    "List five uses of an old newspaper as a JSON array of strings.",
    "Describe the life of a honey bee from egg to forager.",
    "Translate into French: The library opens at nine and closes at six.",
    "Write a short letter to a neighbour who plays music too loudly.",
    "What is the difference between a virus and a bacterium?",
    "Summarise the story of the tortoise and the hare.",
    "Give me a recipe for tomato soup with amounts for four people.",
    "Write an SQL query that counts the orders of each customer in 2024.",
    "How does a bicycle stay upright? Answer for a ten-year-old.",
    "Continue: Once upon a time, in a village between two mountains, there lived",
    "Name the planets of the solar system in order, with one fact about each.",
    "Rewrite politely: Send me the report now, I have been waiting for days.",
    "What should one pack for a three-day hike in autumn? Make a checklist.",
]


def prompt_ids(model: Path) -> list[list[int]]:
    """Return the prompts as token ids, in the model's chat format."""
    tokenizer = Tokenizer.load(model)
    return [tokenizer.encode_chat([{"role": "user", "content": prompt}]) for prompt in PROMPTS]
