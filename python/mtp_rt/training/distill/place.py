"""Where training stands, and the learning rate that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mtp_rt.training.distill.fit_config import FitConfig
from mtp_rt.training.rate import learning_rate


@dataclass
class Place:
    """All that a checkpoint holds beside weights and optimiser.

    Attributes:
        step: steps taken.
        visits: slots seen.
        seconds: time spent training, over all sittings.
        epoch: passes over the slots that are complete.
        cursor: slots of this pass that have been seen.
        shards: those of this pass.
        best: most tokens per step of any evaluation.
        stale: evaluations since then.
    """

    step: int = 0
    visits: int = 0
    seconds: float = 0.0
    epoch: int = 0
    cursor: int = 0
    shards: list[str] = field(default_factory=list)
    best: float = 0.0
    stale: int = 0

    def progress(self, config: FitConfig) -> float:
        """Return how much of the schedule is done, 0 .. 1: by steps if their number is set, else by time."""
        if config.steps:
            return min(1.0, self.step / config.steps)
        return min(1.0, self.seconds / (config.hours * 3600))

    def rate(self, config: FitConfig) -> float:
        """Return the learning rate of the next step: a rise, then half a cosine."""
        return learning_rate(
            self.step,
            self.progress(config),
            peak=config.learning_rate,
            warm_up=config.warm_up,
            final_rate=config.final_rate,
        )
