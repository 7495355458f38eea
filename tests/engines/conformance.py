"""What every engine is held to, whatever its name: the cases, and the verdict on the texts it gives.

A new engine adds its name to ENGINES, and to open_engine() what it needs of a model. Where it promises row
invariance no token may differ; where it does not, the share of tokens that differ and how near a tie they
were is reported with the test, and few texts may part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from decoding import SAMPLING, Case, count_differing, decode, plain_text, top_two_margin
from tokenizers import Tokenizer

from mtp_rt import _core_testing
from mtp_rt._core import Engine, Request
from mtp_rt.engines import library_of

FAST_ENGINES = ["native", "onnxruntime"]
DEVICE_CACHES = "onnxruntime, device caches"  # on the CPU, with caches where those of a GPU lie
LOOPED = "tensorrt, looped"  # it runs whole steps on its device
ENGINES = [*FAST_ENGINES, DEVICE_CACHES, "tensorrt", LOOPED]  # the last two on a device written in Python

PROMPTS = [
    "def parse_args(self, args=None):\n\targs, argv = self.parse_known_args(args, namespace)\n\t",
    "import os\nimport sys\nimport ",
    "<|im_start|>user\nWhat does wrap do?<|im_end|>\n<|im_start|>assistant\n",
    'class Calendar(object):\n\t"""\n\tBase calendar class. This class',
    "\t\tif self._closed:\n\t\t\traise ValueError(",
    "<|im_start|>user\nWhat does copyfile do?<|im_end|>\n<|im_start|>assistant\n",
    "# The lock is held while the thread",
    "from collections import namedtuple\n\nclass",
    "for key, value in self.items():\n\t",
    "<|endoftext|>",
    '"""Return the number of',
    "try:\n\tfrom _heapq import heappush\nexcept ImportError:\n\tpass\n\ntry:\n\tfrom _heapq import",
    "<|im_start|>user\nWhat does Queue do?<|im_end|>\n<|im_start|>assistant\nCreate a queue",
    "x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3,",
    "def __init__(self, maxsize=0):\n\t\tself.maxsize = maxsize\n\t\tself._init(maxsize)\n\n\t\t# mutex",
    "Ünïcode naïveté: 日本語",
]

# Share of texts that may part from the plain ones where an engine promises no row invariance: rounding parts
# a few, a wrong mask or position nearly all.
MAX_PARTED = 0.2

# How a case may be drafted: name -> request, given the case, its plain text and a seed.
Drafting = Callable[[Case, Sequence[int], int], Request]


def _lookup(max_drafts: int) -> Drafting:
    return lambda case, text, seed: case.request("lookup", max_drafts)


def _scripted(acceptance: float, max_drafts: int, *, tree: bool) -> Drafting:
    return lambda case, text, seed: case.scripted(text, acceptance, max_drafts, tree=tree, seed=seed)


DRAFTING: dict[str, Drafting] = {
    "lookup 1": _lookup(1),
    "lookup 2": _lookup(2),
    "lookup 4": _lookup(4),
    "lookup 7": _lookup(7),
    "auto": lambda case, text, seed: case.request("auto", 7, adaptive=True),
    "chain 0 %": _scripted(0.0, 4, tree=False),
    "chain 50 %": _scripted(0.5, 7, tree=False),
    "chain 100 %": _scripted(1.0, 7, tree=False),
    "tree 30 %": _scripted(0.3, 15, tree=True),
    "tree 80 %": _scripted(0.8, 12, tree=True),
    "tree 100 %": _scripted(1.0, 7, tree=True),
}


def open_engine(name: str, model: Path, exported: Callable[[Path], Path], **options: Any) -> Engine:
    """Open `model` with an engine, exported where it runs graphs; skips where its library is missing.

    The tensorrt engines run on a device of the tests.
    """
    if name == "native":
        return Engine(str(model), **options)
    pytest.importorskip("onnxruntime")
    graphs = exported(model)
    if name in ("tensorrt", LOOPED):
        from plan_device import open_plans, write_plans

        plans = graphs.with_name(f"{graphs.name}-plans")
        if not plans.exists():
            write_plans(graphs, plans, [512])
        return open_plans(plans, loop=name == LOOPED, **options)
    options["library"] = library_of("onnxruntime", graphs)
    if name == DEVICE_CACHES:
        engine: Engine = _core_testing.open_with_device_caches(str(graphs), **options)
        return engine
    return Engine(str(graphs), engine=name, **options)


def prompts(model: Path) -> list[list[int]]:
    """Return PROMPTS as token ids of `model`."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    return [encoding.ids for encoding in tokenizer.encode_batch(PROMPTS)]


def cases(
    model: Path, *, seeds: int, temperatures: Sequence[float], max_tokens: int, stop: Sequence[int] = (0,)
) -> Iterator[Case]:
    """Yield every filter of SAMPLING at every temperature and seed, each with the next prompt."""
    ids = prompts(model)
    count = 0
    for name, filters in SAMPLING.items():
        for temperature in [0.0] if name == "greedy" else temperatures:
            for seed in range(seeds):
                sampling: dict[str, Any] = {**filters, "temperature": temperature, "seed": seed}
                yield Case(ids[count % len(ids)], sampling, max_tokens, stop)
                count += 1


@dataclass
class Verdict:
    """Collects pairs of texts that should be one, and judges them by what the engine promises."""

    texts: int = 0
    tokens: int = 0
    differing: int = 0
    first_differences: list[tuple[Case, int, str]] = field(default_factory=list)

    def compare(self, case: Case, found: Sequence[int], expected: Sequence[int], how: str = "") -> None:
        self.texts += 1
        self.tokens += len(expected)
        if wrong := count_differing(found, expected):
            self.differing += wrong
            pairs = zip([*found, -1], [*expected, -1], strict=False)
            place = next(i for i, (a, b) in enumerate(pairs) if a != b)
            self.first_differences.append((case, place, how))

    def settle(self, engine: Engine, expected_of: Callable[[Case], Sequence[int]], report: Any) -> None:
        """Fail on any difference of a row-invariant engine; else report (pytest's record_property)."""
        assert self.tokens > 0
        if engine.info.row_invariant:
            assert self.differing == 0, f"{self.differing} of {self.tokens}: {self.first_differences[:3]}"
        assert len(self.first_differences) <= MAX_PARTED * self.texts, self.first_differences[:3]
        margins = [
            top_two_margin(engine, [*case.prompt, *expected_of(case)[:place]])
            for case, place, _ in self.first_differences
        ]
        report("tokens", self.tokens)
        report("differing_tokens", self.differing)
        report("texts_that_differ", len(self.first_differences))
        report("top_two_margins_where_they_part", margins)


def check(
    engine: Engine, chosen: Sequence[Case], drafting: str, text_of: Any, report: Any, **options: Any
) -> Verdict:
    """Decode cases together with one kind of drafts and compare with their plain texts."""
    verdict = Verdict()
    requests = [DRAFTING[drafting](case, text_of(case), i) for i, case in enumerate(chosen)]
    for case, found in zip(chosen, decode(engine, requests, **options), strict=True):
        verdict.compare(case, found, text_of(case), drafting)
    verdict.settle(engine, text_of, report)
    return verdict


def check_against_plain(engine: Engine, chosen: Sequence[Case], drafting: str, report: Any) -> None:
    """The same, with plain texts that the engine decodes itself."""
    known = {repr(case): plain_text(engine, case) for case in chosen}
    check(engine, chosen, drafting, lambda case: known[repr(case)], report)
