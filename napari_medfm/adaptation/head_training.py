"""Training of the head: one step for every ``next``, the average of its weights kept."""

import copy
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from napari_medfm.adaptation.examples import Target
from napari_medfm.adaptation.networks import Head
from napari_medfm.adaptation.objective import mask_loss

_RATE, _DECAY = 3e-3, 1e-2
_LATER = 0.7  # of the rate, when slices are added
_WARM = 0.1  # of the steps, in which the rate rises
_AVERAGE = 0.95  # share of the averaged weights that stays in each step
_NOISE = 0.1  # of features, in their standard deviations


class HeadTraining:
    """A head, and the average of its weights over the last steps.

    Parameters
    ----------
    wholes : sequence of Target
        What is learned.
    batch : int
        Slices in a step.
    seed : int
        Of all draws.
    placed : bool
        See `Head`.
    """

    def __init__(self, wholes: Sequence[Target], *, batch: int, seed: int, placed: bool = True) -> None:
        self._wholes, self.batch = wholes, batch
        self._rng = np.random.default_rng(seed)
        self._noise = torch.Generator(wholes[0].truth.device).manual_seed(seed)
        self._head = Head.fitted([each.look.features for each in wholes], seed, placed=placed)
        self.average = copy.deepcopy(self._head).requires_grad_(requires_grad=False)
        self._optimiser = torch.optim.AdamW(self._head.parameters(), lr=_RATE, weight_decay=_DECAY, fused=True)
        self._done, self._rate, self._kept = 0, _RATE, 0.0

    def go_on(self, wholes: Sequence[Target]) -> None:
        """Learn from other slices from now on, at a lower rate."""
        self._wholes, self._rate = wholes, _LATER * _RATE
        self._done = 0
        self._kept = _AVERAGE

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to averaged weights of before."""
        self._head.load_state_dict(state)
        self.average.load_state_dict(state)

    def step(self, progress: float) -> float:
        """Take a step and return its loss; `progress`, 0..1, sets the rate, see `schedule`."""
        chosen = [self._wholes[index] for index in self._draw()]
        features = torch.stack([each.look.features for each in chosen])
        features = features + _NOISE * self._spread(features)
        truth, known = (torch.stack(parts) for parts in zip(*((t.truth, t.known) for t in chosen), strict=True))
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * schedule(progress)
        loss = mask_loss(self._head(features), truth, known).mean()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._done += 1
        blend(self.average, self._head, max(self._kept, min(_AVERAGE, self._done / (self._done + 9))))
        return float(loss.detach())

    def _draw(self) -> list[int]:
        count = len(self._wholes)
        return [int(index) for index in self._rng.choice(count, min(self.batch, count), replace=False)]

    def _spread(self, features: Tensor) -> Tensor:
        noise = torch.randn(features.shape, generator=self._noise, device=features.device)
        return noise / self._head.scale


def schedule(progress: float) -> float:
    """Return the share of the learning rate, 0..1: a short rise, then half a cosine."""
    if progress < _WARM:
        return progress / _WARM + 1e-2
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - _WARM) / (1 - _WARM)))) + 1e-3


def blend(average: torch.nn.Module, module: torch.nn.Module, kept: float) -> None:
    """Move an average of weights towards those of a module."""
    move = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
    move(list(average.parameters()), list(module.parameters()), None)
