"""The shapes that plans are made for: one plan for each context, one profile in it for each kind of call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mtp_rt.errors import ArgumentError
from mtp_rt.model_dir import ModelConfig

STEP_WIDTH = 16  # rows of a sequence in a decoding step: the last token and at most 15 drafts
PROMPT_WIDTH = 128  # rows of one sequence in a call that reads a prompt
DEFAULT_CONTEXT = 2048
DEFAULT_BATCH = 4
MAX_BATCH = 64

_USUAL_WIDTH = 4  # what decoding is tuned for: three drafts
_ALIGNED = 64  # places of a cache come in such pieces


@dataclass(frozen=True)
class Bucket:
    """Shapes of the calls that one profile serves: least, most frequent, largest.

    Attributes:
        batch: sequences of a call.
        width: rows of each.
        rows: rows of each that are scored.
    """

    batch: tuple[int, int, int]
    width: tuple[int, int, int]
    rows: tuple[int, int, int]


@dataclass(frozen=True)
class Shapes:
    """What plans are made for.

    Attributes:
        contexts: positions of a sequence, ascending; each is a plan of its own.
        batch: sequences of a decoding step, at most.
    """

    contexts: tuple[int, ...]
    batch: int

    def verify(self) -> list[Bucket]:
        """Return the profiles of the trunk: decoding steps, then prompts."""
        steps = (1, _USUAL_WIDTH, STEP_WIDTH)
        prompts = (STEP_WIDTH + 1, PROMPT_WIDTH, PROMPT_WIDTH)
        return [Bucket((1, 1, self.batch), steps, steps), Bucket((1, 1, 1), prompts, (1, 1, STEP_WIDTH))]

    def draft(self, attends: bool) -> list[Bucket]:
        """Return the profiles of a draft graph: one row of each sequence, or all that its caches lack."""
        one = (1, 1, 1)
        if not attends:
            return [Bucket((1, 1, self.batch), one, one)]
        prompts = (STEP_WIDTH + 1, PROMPT_WIDTH, PROMPT_WIDTH)
        return [Bucket(one, (1, 1, STEP_WIDTH), one), Bucket(one, prompts, one)]


def capacity(context: int) -> int:
    """Return the places of a cache for `context` positions: rows beside shorter neighbours overhang."""
    return -(-(context + STEP_WIDTH) // _ALIGNED) * _ALIGNED


def shapes_of(config: ModelConfig, contexts: Sequence[int] | None, batch: int | None) -> Shapes:
    """Return checked shapes; None leaves the choice to us.

    Raises:
        ArgumentError: a number lies outside its range.
    """
    chosen = tuple(sorted(set(contexts or [min(DEFAULT_CONTEXT, config.context)])))
    for context in chosen:
        if not STEP_WIDTH <= context <= config.context:
            problem = f"{context} is not in {STEP_WIDTH} .. {config.context}, what the model has"
            raise ArgumentError(f"tensorrt_contexts: {problem}")
    number = DEFAULT_BATCH if batch is None else batch
    if not 1 <= number <= MAX_BATCH:
        raise ArgumentError(f"tensorrt_batch: {number} is not in 1 .. {MAX_BATCH}")
    return Shapes(chosen, number)
