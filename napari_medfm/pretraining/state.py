"""What a training consists of between two steps, on disk and in memory."""

import copy
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from napari_medfm.errors import PretrainingError
from napari_medfm.files import atomic_write
from napari_medfm.models.compact_network import CompactNetwork
from napari_medfm.pretraining.schedule import Recipe

_BACKBONE = ("encoder.stem", "encoder.blocks")
_COUNTERS = ("steps", "samples", "seconds")
_LARGEST_STEP = 2.0  # norm of the gradient, over all weights
_STEP = "Remove it, or begin in another folder."


@dataclass(slots=True, eq=False)
class TrainingState:
    """Weights, their moving average, the optimiser, and what is spent.

    Attributes
    ----------
    network, average : CompactNetwork
        What is trained, and its exponential moving average: the better one.
    optimiser : AdamW
        With two groups: the backbone and the rest.
    steps, samples : int
        Done so far.
    seconds : float
        Worked so far.
    """

    network: CompactNetwork
    average: CompactNetwork
    optimiser: AdamW
    steps: int = 0
    samples: int = 0
    seconds: float = 0.0

    @classmethod
    def begin(cls, network: CompactNetwork, recipe: Recipe) -> "TrainingState":
        """Return the state before the first step; the network is on its device already."""
        optimiser = AdamW(_groups(network, recipe), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        return cls(network, copy.deepcopy(network).eval(), optimiser)

    def apply(self, loss: Tensor, rate: float, kept: float) -> None:
        """Take one step down the gradient; a step whose gradient is not finite changes nothing.

        Parameters
        ----------
        loss : Tensor, ()
            To be minimised.
        rate : float
            Learning rate.
        kept : float
            Weight of the past in the moving average.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_STEP)
        if torch.isfinite(norm):
            self.optimiser.step()
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - kept)

    def save(self, path: Path, data: str) -> None:
        """Write it, to go on later.

        Parameters
        ----------
        path : Path
            The file.
        data : str
            Digest of what it was trained on.
        """
        content = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "data": data,
            **{name: getattr(self, name) for name in _COUNTERS},
        }

        def verify(temporary: Path) -> None:
            read = _read(temporary, torch.device("cpu"))
            if any(read[name] != content[name] for name in ("data", *_COUNTERS)):
                raise PretrainingError(path.name, "read back different from what was written", "Try another disk.")

        atomic_write(path, lambda temporary: torch.save(content, temporary), verify)

    def load(self, path: Path, data: str) -> None:
        """Go on from a file that `save` wrote.

        Raises
        ------
        PretrainingError
            It is damaged, of another network, or was trained on other data.
        """
        content = _read(path, next(self.network.parameters()).device)
        if content["data"] != data:
            reason = "was trained on other images than these"
            raise PretrainingError(path.name, reason, "Give the images it began with, or begin in another folder.")
        try:
            for name in ("network", "average", "optimiser"):
                getattr(self, name).load_state_dict(content[name])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise PretrainingError(path.name, "is a checkpoint of another network", _STEP) from error
        for name in _COUNTERS:
            setattr(self, name, content[name])


def _groups(network: CompactNetwork, recipe: Recipe) -> list[dict[str, Any]]:
    def chosen(*, backbone: bool) -> Iterator[nn.Parameter]:
        return (value for name, value in network.named_parameters() if name.startswith(_BACKBONE) is backbone)

    return [
        {"params": list(chosen(backbone=True)), "scale": recipe.backbone},
        {"params": list(chosen(backbone=False)), "scale": 1.0},
    ]


def _read(path: Path, device: torch.device) -> Mapping[str, Any]:
    wanted = {"network", "average", "optimiser", "data", *_COUNTERS}
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, KeyError, pickle.UnpicklingError) as error:
        raise PretrainingError(path.name, f"is a damaged checkpoint ({type(error).__name__})", _STEP) from error
    if not isinstance(content, dict) or content.keys() != wanted:
        raise PretrainingError(path.name, "is no checkpoint of a training", _STEP)
    return content
