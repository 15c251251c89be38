"""The random draws of one step of training."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Chance:
    """A generator for decisions and one for tensors, both of one seed.

    Every step has its own, so that a run that goes on after a stop draws what it would have drawn.

    Attributes
    ----------
    decisions : numpy.random.Generator
        For whatever Python decides.
    tensors : torch.Generator
        For tensors, on their device.
    """

    decisions: np.random.Generator
    tensors: torch.Generator

    @classmethod
    def of(cls, seed: int, step: int, device: torch.device | str = "cpu") -> Self:
        """Return the draws of a step."""
        sequence = np.random.SeedSequence([seed, step])
        tensors = torch.Generator(device)
        tensors.manual_seed(int(sequence.generate_state(1, np.uint32)[0]))
        return cls(np.random.default_rng(sequence), tensors)

    @property
    def device(self) -> torch.device:
        """Where tensors are drawn."""
        return self.tensors.device

    def between(self, low: float, high: float) -> float:
        """Return a number from low to high."""
        return low + (high - low) * self.decisions.random()

    def happens(self, probability: float) -> bool:
        """Return whether something of that probability happens."""
        return bool(self.decisions.random() < probability)

    def sign(self, positive: float = 0.5) -> int:
        """Return 1 with that probability, or else -1."""
        return 1 if self.happens(positive) else -1

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return numbers from low to high."""
        return low + (high - low) * torch.rand(*shape, generator=self.tensors, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Return numbers of mean 0 and standard deviation 1."""
        return torch.randn(*shape, generator=self.tensors, device=self.device)

    def some(self, count: int, probability: float) -> Tensor:
        """Return for each of `count` whether it happens, as bool."""
        return self.uniform(count) < probability

    def place(self, weights: Tensor) -> Tensor:
        """Draw one cell of each map, the likelier the heavier it is; any cell where all weigh nothing.

        Parameters
        ----------
        weights : Tensor, (b, h, w)
            Not negative.

        Returns
        -------
        Tensor of int64, (b, 2)
            (row, column).
        """
        flat = weights.flatten(1).float() + 1e-12
        index = torch.multinomial(flat, 1, generator=self.tensors)[:, 0]
        width = weights.shape[-1]
        return torch.stack([index // width, index % width], dim=1)
