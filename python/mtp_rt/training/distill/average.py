"""A running mean of weights: smoother than the weights themselves, and what is evaluated and shipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a module's weights.

    Args:
        module: whose weights.
        decay: share of the mean that each step keeps; less during the first steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module, self._decay = module, decay
        self.weights = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the weights after step `step`, counted from 1."""
        decay = min(self._decay, step / (10 + step))
        for name, value in self._module.state_dict().items():
            self.weights[name].lerp_(value, 1 - decay)

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take the mean from a checkpoint."""
        for name, value in weights.items():
            self.weights[name].copy_(value)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the module have the mean for a while."""
        trained = {name: value.clone() for name, value in self._module.state_dict().items()}
        self._module.load_state_dict(self.weights)
        try:
            yield
        finally:
            self._module.load_state_dict(trained)
