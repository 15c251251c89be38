"""Whether a training set can be trained on: MONAI's U-Net, small, for minutes, and its Dice on what was held out.

No claim about how good a model could become: a set with labels beside their organs, mirrored
images or mixed-up values gives a Dice near 0, a sound one does not.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet
from numpy.typing import NDArray
from torch import Tensor

from napari_medfm.adaptation.objective import mask_loss
from napari_medfm.errors import EvaluationError
from napari_medfm.models.devices import choose_device
from napari_medfm.simulation import dice

_PATCH = {2: (192, 192), 3: (32, 96, 96)}
_CHANNELS = (16, 32, 64, 128)
_STRIDE = 2 ** (len(_CHANNELS) - 1)
_BATCH = 2
_RATE = 3e-3
_ON_OBJECTS = 2 / 3
"""Share of the patches that hold a labelled voxel in their middle."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One case of a training set.

    Attributes
    ----------
    id : str
        Of the case.
    image : ndarray of float32, (channels, ...)
        Its images.
    labels : ndarray of integers, (...)
        Value of the innermost class at each voxel.
    """

    id: str
    image: NDArray[np.float32]
    labels: NDArray[Any]

    @property
    def bytes(self) -> int:
        """Memory it takes."""
        return self.image.nbytes + self.labels.nbytes


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the values of labels mean.

    Attributes
    ----------
    members : mapping of str to frozenset of int
        By class, its value and those of all that lies inside it.
    ignore : int
        Value of voxels that nobody decided.
    """

    members: Mapping[str, frozenset[int]]
    ignore: int

    def targets(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the mask of each class, (classes, ...)."""
        return np.stack([np.isin(labels, list(values)) for values in self.members.values()])


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How well a class was found on what was held out.

    Attributes
    ----------
    name : str
        Of the class.
    cases : int
        Held out, with or without it.
    dice : float
        Mean, over the voxels that somebody decided.
    """

    name: str
    cases: int
    dice: float


class TrainingCheck:
    """Trains a small U-Net, and judges it.

    Parameters
    ----------
    training, validation : sequence of callable
        Each reads a `Sample`. Of those for training, as many are used as fit `memory`.
    meaning : Meaning
        Of their labels.
    seconds : float
        To train.
    seed : int
        Of the network and the patches.
    steps : int, optional
        To train, however long it takes.
    memory : int
        Bytes that the cases in training may take.

    Attributes
    ----------
    used : int
        Cases that were trained on.
    """

    def __init__(
        self,
        training: Sequence[Callable[[], Sample]],
        validation: Sequence[Callable[[], Sample]],
        meaning: Meaning,
        *,
        seconds: float,
        seed: int = 0,
        steps: int | None = None,
        memory: int = 2 << 30,
    ) -> None:
        if not training or not validation:
            step = "Give cases of at least two patients."
            raise EvaluationError("training set", "has no case to train on, or none to judge by", step)
        self._meaning, self._seconds, self._steps = meaning, seconds, steps
        self._rng = np.random.default_rng(seed)
        self._samples = list(_fitting(training, memory))
        self._validation = validation
        self.used = len(self._samples)
        self._device = choose_device()
        self._network = self._build(seed)

    def train(self) -> Iterator[tuple[float, float]]:
        """Train, and yield the share of the time that is over and the loss, step by step."""
        optimiser = torch.optim.AdamW(self._network.parameters(), _RATE)
        start, done = time.monotonic(), 0
        self._network.train()
        while (share := self._share(time.monotonic() - start, done)) < 1:
            for group in optimiser.param_groups:
                group["lr"] = _RATE * (1 - share) ** 0.9
            image, target, known = self._draw()
            logits = self._network(image).flatten(2).unsqueeze(-1)
            loss = mask_loss(logits, target.flatten(2).unsqueeze(-1), known.flatten(2).unsqueeze(-1)).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1
            yield self._share(time.monotonic() - start, done), loss.item()

    def judge(self) -> Iterator[Mapping[str, float]]:
        """Yield the Dice of each class that occurs in a held-out case or was found in it, case by case."""
        self._network.eval()
        for read in self._validation:
            sample = read()
            known = sample.labels != self._meaning.ignore
            truths = self._meaning.targets(sample.labels) & known
            found = self._segment(sample) & known
            names = self._meaning.members
            yield {
                name: dice(mask, truth)
                for name, mask, truth in zip(names, found, truths, strict=True)
                if mask.any() or truth.any()
            }

    def scores(self) -> tuple[ClassScore, ...]:
        """Judge all held-out cases, and return the mean of each class."""
        cases = list(self.judge())
        by_class = {name: [case[name] for case in cases if name in case] for name in self._meaning.members}
        return tuple(ClassScore(name, len(own), statistics.fmean(own)) for name, own in by_class.items() if own)

    def _share(self, seconds: float, done: int) -> float:
        return done / self._steps if self._steps is not None else min(1.0, seconds / self._seconds)

    def _build(self, seed: int) -> torch.nn.Module:
        first = self._samples[0]
        dimensions = first.labels.ndim
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network: torch.nn.Module = UNet(
                spatial_dims=dimensions,
                in_channels=len(first.image),
                out_channels=len(self._meaning.members),
                channels=_CHANNELS,
                strides=(2,) * (len(_CHANNELS) - 1),
                num_res_units=1,
            )
        return network.to(self._device)

    def _draw(self) -> tuple[Tensor, Tensor, Tensor]:
        drawn = [self._patch(self._samples[int(self._rng.integers(self.used))]) for _ in range(_BATCH)]
        shape = np.max([labels.shape for _, labels in drawn], axis=0)
        shape = -(-shape // _STRIDE) * _STRIDE
        images = np.stack([_padded(image, shape, 0) for image, _ in drawn])
        labels = [_padded(labels[None], shape, self._meaning.ignore)[0] for _, labels in drawn]
        targets = np.stack([self._meaning.targets(each) for each in labels])
        known = np.stack([each != self._meaning.ignore for each in labels])[:, None]
        batch = (torch.from_numpy(array.astype(np.float32)).to(self._device) for array in (images, targets, known))
        image, target, decided = batch
        return image, target, decided

    def _patch(self, sample: Sample) -> tuple[NDArray[np.float32], NDArray[Any]]:
        shape = sample.labels.shape
        centre = [int(self._rng.integers(size)) for size in shape]
        marked = np.flatnonzero((sample.labels > 0) & (sample.labels != self._meaning.ignore))
        if len(marked) and self._rng.random() < _ON_OBJECTS:
            centre = list(np.unravel_index(marked[self._rng.integers(len(marked))], shape))
        sizes = zip(centre, shape, _PATCH[len(shape)], strict=True)
        starts = [(max(0, min(int(place) - size // 2, total - size)), size) for place, total, size in sizes]
        box = tuple(slice(start, start + size) for start, size in starts)
        return sample.image[:, *box], sample.labels[box]

    def _segment(self, sample: Sample) -> NDArray[np.bool_]:
        image = torch.from_numpy(sample.image)[None].to(self._device)
        size = [
            -(-min(total, most) // _STRIDE) * _STRIDE
            for total, most in zip(sample.labels.shape, _PATCH[sample.labels.ndim], strict=True)
        ]
        with torch.inference_mode():
            logits = sliding_window_inference(image, size, _BATCH, self._network)
        assert isinstance(logits, Tensor)
        found: NDArray[np.bool_] = (logits[0] > 0).cpu().numpy()
        return found


def normalised(images: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return images as a network takes them, (channels, ...): each of mean 0 and deviation 1, its extremes cut off."""
    found = []
    for image in images:
        values = np.nan_to_num(np.asarray(image, np.float32))
        values = np.clip(values, *np.percentile(values, (0.5, 99.5)))
        found.append((values - values.mean()) / max(float(values.std()), 1e-6))
    return np.stack(found).astype(np.float32)


def _fitting(sources: Sequence[Callable[[], Sample]], memory: int) -> Iterator[Sample]:
    held = 0
    for read in sources:
        sample = read()
        held += sample.bytes
        if held > memory and held > sample.bytes:
            return
        yield sample


def _padded(array: NDArray[Any], shape: NDArray[np.int64], value: float) -> NDArray[Any]:
    ends = [(0, int(wanted) - size) for wanted, size in zip(shape, array.shape[1:], strict=True)]
    return np.pad(array, [(0, 0), *ends], constant_values=value)
