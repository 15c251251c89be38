"""Training of the built-in model: a generator of steps that can be stopped and gone on with at any moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from napari_medfm.models.compact_network import CompactNetwork, CompactShape
from napari_medfm.pretraining.bank import Bank
from napari_medfm.pretraining.chance import Chance
from napari_medfm.pretraining.episode import STEPS, play
from napari_medfm.pretraining.machine import Machine
from napari_medfm.pretraining.records import Record, read_records, write_records
from napari_medfm.pretraining.sampler import Sampler
from napari_medfm.pretraining.schedule import Budget, Recipe
from napari_medfm.pretraining.start import load_imagenet, scale_backbone
from napari_medfm.pretraining.state import TrainingState

CHECKPOINT, BEFORE_DECAY, LOG = "checkpoint.pt", "before_decay.pt", "log.jsonl"
"""Names of the files in the folder of a training."""

_BETWEEN_SAVES = 240.0  # seconds
_BETWEEN_RECORDS = 50  # steps
_LONGEST_STEP = 10.0  # seconds; more is a machine that slept


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands after a step.

    Attributes
    ----------
    share : float
        Of the budget spent, 0..1.
    record : Record or None
        The newest one, if this step has made it.
    saved : bool
        Whether checkpoint and log were written after this step.
    """

    share: float
    record: Record | None
    saved: bool


class Trainer:
    """Trains a network on a bank; what is in the folder already is gone on with.

    Every draw depends on the seed and the number of the step only: with a budget of samples, on one machine
    with one thread, stopping and going on changes nothing.

    Parameters
    ----------
    bank : Bank
        Images, on the machine's device.
    recipe : Recipe
        The numbers.
    budget : Budget
        When it is over. A training may go on with a larger budget; the learning rate rises again if it has
        fallen, so it is better to put ``before_decay.pt`` in the place of ``checkpoint.pt`` then.
    folder : Path
        Where checkpoints and log are kept; it exists.
    machine : Machine, optional
        What it runs on.
    imagenet : Path, optional
        Weights to begin with, see `load_imagenet`; by default random ones.
    shape : CompactShape, optional
        Widths of the network.

    Raises
    ------
    PretrainingError
        What is in the folder cannot be gone on with.
    WeightsError
        The weights to begin with cannot be used.
    """

    def __init__(
        self,
        bank: Bank,
        recipe: Recipe,
        budget: Budget,
        folder: Path,
        *,
        machine: Machine | None = None,
        imagenet: Path | None = None,
        shape: CompactShape | None = None,
    ) -> None:
        self._bank, self._recipe, self._budget, self._folder = bank, recipe, budget, folder
        self._machine = machine or Machine()
        self._sampler = Sampler(bank, recipe.pseudo, recipe.shapes)
        self.state = TrainingState.begin(self._network(imagenet, shape), recipe)
        if self._checkpoint.exists():
            self.state.load(self._checkpoint, bank.digest)
        found = read_records(folder / LOG)
        self.records: list[Record] = [record for record in found if record.steps <= self.state.steps]

    def run(self) -> Iterator[Progress]:
        """Train, step by step, until the budget is spent; saved now and then, at the end, and when it is closed."""
        stretch = _Stretch(self.state)
        last = saved = self._machine.clock()
        while self._share < 1:
            share = self._share
            self._step(share, stretch)
            now = self._machine.clock()
            self.state.seconds += min(now - last, _LONGEST_STEP)
            last = now
            if share < 1 - self._recipe.decay <= self._share:
                self.state.save(self._folder / BEFORE_DECAY, self._bank.digest)
            record = self._note(share, stretch)
            due = self._share >= 1 or now - saved > _BETWEEN_SAVES
            if due:
                saved = now
                self.save()
            try:
                yield Progress(self._share, record, due)
            except GeneratorExit:
                self.save()
                raise

    def save(self) -> None:
        """Write checkpoint and log.

        Raises
        ------
        WriteError
            They cannot be written.
        """
        self.state.save(self._checkpoint, self._bank.digest)
        write_records(self._folder / LOG, self.records)

    @property
    def _share(self) -> float:
        return self._budget.share(self.state.seconds, self.state.samples)

    @property
    def _checkpoint(self) -> Path:
        return self._folder / CHECKPOINT

    def _network(self, imagenet: Path | None, shape: CompactShape | None) -> CompactNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._recipe.seed)
            network = CompactNetwork(shape)
            scale_backbone(network.encoder)
        if imagenet is not None:
            load_imagenet(network.encoder, imagenet)
        return network.to(self._machine.device).to(memory_format=torch.channels_last)

    def _step(self, share: float, stretch: "_Stretch") -> None:
        recipe, state = self._recipe, self.state
        chance = Chance.of(recipe.seed, state.steps, self._machine.device)
        batch = self._sampler.draw(recipe.images, recipe.objects, recipe.side_at(share), chance)
        prompts = int(chance.decisions.choice(list(STEPS), p=list(STEPS.values())))
        outcome = play(state.network, batch, prompts, chance, self._machine.autocast)
        if outcome is not None:
            state.apply(outcome.loss, recipe.rate_at(share, state.steps), recipe.average_at(state.steps + 1))
            stretch.add(outcome.loss.item(), outcome.first.item(), outcome.last.item())
        state.steps += 1
        state.samples += recipe.samples

    def _note(self, share: float, stretch: "_Stretch") -> Record | None:
        if self.state.steps % _BETWEEN_RECORDS and self._share < 1:
            return None
        rate = self._recipe.rate_at(share, self.state.steps - 1)
        record = stretch.close(self.state, self._recipe.side_at(share), rate)
        if record is not None:
            self.records.append(record)
        return record


class _Stretch:
    """The steps since the last record."""

    def __init__(self, state: TrainingState) -> None:
        self._begin(state)

    def _begin(self, state: TrainingState) -> None:
        self._since = state.samples, state.seconds
        self._values: list[tuple[float, float, float]] = []

    def add(self, loss: float, first: float, last: float) -> None:
        self._values.append((loss, first, last))

    def close(self, state: TrainingState, side: int, rate: float) -> Record | None:
        if not self._values:
            return None
        samples, seconds = state.samples - self._since[0], state.seconds - self._since[1]
        loss, first, last = (float(mean) for mean in np.mean(self._values, axis=0))
        speed = samples / max(seconds, 1e-6)
        self._begin(state)
        return Record(state.steps, state.samples, state.seconds / 60, side, loss, first, last, rate, speed)
