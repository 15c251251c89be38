"""Adapting a model: one generator of small steps that the device lane can interrupt with clicks."""

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_medfm.adaptation.adapted import AdaptedModel
from napari_medfm.adaptation.adapter import DECODER, HEAD, Adapter, AdapterFacts, Readout, is_at_a_loss
from napari_medfm.adaptation.episodes import DecoderTraining
from napari_medfm.adaptation.examples import Examples, Target, prepare
from napari_medfm.adaptation.finding import Finder, Found, find, probability_of
from napari_medfm.adaptation.head_training import HeadTraining
from napari_medfm.adaptation.networks import FINER, Head, Prototypes
from napari_medfm.adaptation.progress import Clock, Phase, Progress
from napari_medfm.adaptation.readout import read_out
from napari_medfm.adaptation.support import SupportSet, SupportSlice
from napari_medfm.adaptation.variation import Variation
from napari_medfm.errors import AdapterError
from napari_medfm.inference import EmbeddingStore
from napari_medfm.models import ImageEmbedding, PromptableModel
from napari_medfm.models.adaptable import Adaptable, Look
from napari_medfm.models.devices import is_out_of_memory
from napari_medfm.simulation import dice

_SETTLING = 1.0  # steps with the judged slice, in those without it
_JUDGING = 20  # answers, roughly
_CLEARLY = 0.1  # difference of two Dice values of one slice that is not noise
_SUREST = 1e-3  # a probability that is certain
_GRACE = 0.15  # of the time of a phase, by which steps may be late at its beginning
_VALIDATE = 20  # steps of the head between two looks at the judged slice


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is adapted.

    Attributes
    ----------
    seed : int
        Of all draws: equal seeds on one machine give equal adapters, unless time runs out.
    seconds : float, optional
        Of work there are; training ends in time with what it has. By default the model's `Adaptable.patience`.
    copies : int
        Altered copies of each slice that are embedded, where embeddings keep the picture.
    mirrored : bool
        Whether copies may be mirrored and turned by quarters: where up and left mean nothing.
    head_steps, decoder_steps : int
        Of training; no decoder steps leave the decoder as it is.
    head_batch, decoder_batch : int
        Slices, and looks, in a step; halved when memory runs out.
    """

    seed: int = 0
    seconds: float | None = None
    copies: int = 8
    mirrored: bool = False
    head_steps: int = 110
    decoder_steps: int = 160
    head_batch: int = 3
    decoder_batch: int = 1

    @property
    def variation(self) -> Variation:
        """The altered copies that it asks for, see `make_ahead`."""
        return Variation(self.copies, self.mirrored, self.seed)


def adaptable(model: PromptableModel) -> Adaptable:
    """Return a model as one that can be adapted.

    Raises
    ------
    AdapterError
        It offers no decoder that could be trained.
    """
    if isinstance(model, Adaptable):
        return model
    raise AdapterError(model.spec.title, "has no decoder that could be trained", "Choose a model that can be adapted.")


class Adaptation:
    """One adaptation of a model to a structure.

    Parameters
    ----------
    model : Adaptable
        Stays as it is; see `adaptable`.
    support : SupportSet
        What was labelled.
    recipe : Recipe
        How.
    turn : int
        Counts adaptations of this structure, so that each judges by another slice.
    store : EmbeddingStore, optional
        Holds the altered copies that were made ahead, see `make_ahead`, and gets those that were not.

    Raises
    ------
    AdapterError
        The slices were embedded by another encoder.
    """

    def __init__(
        self,
        model: Adaptable,
        support: SupportSet,
        recipe: Recipe | None = None,
        turn: int = 0,
        *,
        store: EmbeddingStore | None = None,
    ) -> None:
        if support.encoder_digest != model.spec.encoder_digest:
            reason = f"was labelled on embeddings of another model than {model.spec.title}"
            raise AdapterError(support.structure, reason, "Embed the slices with this model.")
        self._model, self._support, self._recipe = model, support, recipe or Recipe()
        self._store = store
        self._judged = support.split(turn)[1]
        self._stopping = threading.Event()
        self._clock = Clock(self._recipe.seconds or model.patience, _planned(self._recipe, support))
        self._trained = 0
        self._prototypes: Prototypes | None = None
        self._head_dice: float | None = None
        self.adapter: Adapter | None = None

    @property
    def preview(self) -> Finder | None:
        """What finds the structure without any training, as soon as the slices were looked at."""
        return None if self._prototypes is None else self._prototypes.find

    def stop(self) -> None:
        """End training with what was best so far, and judge that; may be called from any thread."""
        self._stopping.set()

    def steps(self) -> Iterator[Progress]:
        """Adapt; `adapter` holds what came of it.

        Yields
        ------
        Progress
            After each step. To cancel, close the generator: nothing is left then.

        Raises
        ------
        AdapterError
            Memory does not suffice for a single slice.
        """
        self.adapter = None
        steps = self._run()
        while True:
            self._clock.start()
            try:
                progress = next(steps)
            except StopIteration:
                return
            yield self._clock.stamp(progress)

    def _is_over(self, phase: Phase) -> bool:
        return self._stopping.is_set() or self._clock.is_over(phase)

    def _run(self) -> Iterator[Progress]:
        examples = yield from self._prepare()
        learned = examples if self._judged is None else examples.without(self._judged.digest)
        head = yield from self._train_head(learned)
        if self._judged is not None:
            self._head_dice = self._validate(self._judged, head.average)
        decoder = yield from self._train_decoder(learned, head)
        readout = None
        if self._judged is not None:
            readout = yield from self._judge(self._judged, head, decoder)
            yield from self._settle(examples, head)
        self.adapter = self._adapter(head, decoder, readout)

    def _prepare(self) -> Generator[Progress, None, Examples]:
        recipe = self._recipe
        made = prepare(
            self._model,
            self._support,
            recipe.variation,
            cells=self._model.trainable_decoder().cells,
            store=self._store,
        )
        for done, examples in enumerate(made, start=1):
            if examples is not None:
                self._prototypes = self._compare(examples)
                return examples
            yield Progress("prepare", done, _preparing(recipe, self._support))
        raise RuntimeError("preparing ended without examples")

    def _compare(self, examples: Examples) -> Prototypes:
        """Prototypes of the originals, the judged one left out."""
        judged = None if self._judged is None else self._judged.digest
        count = len(self._support.slices)
        wholes = [each for each in examples.wholes if each.slice < count and examples.origins[each.slice] != judged]
        return Prototypes.of([each.look.features for each in wholes], [_coarse(each) for each in wholes])

    def _train_head(self, examples: Examples) -> Generator[Progress, None, HeadTraining]:
        recipe = self._recipe
        training = HeadTraining(examples.wholes, batch=recipe.head_batch, seed=recipe.seed, placed=not recipe.mirrored)
        best: tuple[float, dict[str, Tensor]] = 0.0, {}
        for progress in self._train("head", training, recipe.head_steps):
            yield progress
            if self._judged is not None and (progress.done % _VALIDATE == 0 or self._is_over("head")):
                score = self._validate(self._judged, training.average)
                if score > best[0] + _CLEARLY:
                    best = score, {name: value.clone() for name, value in training.average.state_dict().items()}
                yield replace(progress, validation=score)
        if best[1] and self._judged is not None and self._validate(self._judged, training.average) < best[0] - _CLEARLY:
            training.restore(best[1])
        return training

    def _validate(self, judged: SupportSlice, head: Head) -> float:
        probability = probability_of(self._model.look(judged.embedding), _finder(head))
        return dice((probability > 0.5) & ~judged.ignore, judged.mask)

    def _train_decoder(
        self, examples: Examples, head: HeadTraining
    ) -> Generator[Progress, None, DecoderTraining | None]:
        recipe = self._recipe
        if not recipe.decoder_steps or not examples.objects:
            return None
        decoder = self._model.trainable_decoder()
        objects: list[tuple[Target, Tensor]] = []
        for whole in examples.wholes:
            of_slice = [each for each in examples.objects if each.slice == whole.slice]
            if of_slice:
                probability = probability_of(whole.look, _finder(head.average))
                objects += [(each, _in_look(probability, each.look, decoder.cells)) for each in of_slice]
                yield Progress("decoder", 0, recipe.decoder_steps)
        training = DecoderTraining(
            decoder,
            self._model.trainable_decoder(),
            objects,
            batch=recipe.decoder_batch,
            seed=recipe.seed,
            at_a_loss=is_at_a_loss(self._head_dice),
        )
        yield from self._train("decoder", training, recipe.decoder_steps)
        return training

    def _judge(
        self, judged: SupportSlice, head: HeadTraining, decoder: DecoderTraining | None
    ) -> Generator[Progress, None, Readout]:
        adapted = AdaptedModel(self._model, self._adapter(head, decoder, None))
        steps = read_out(judged, (self._model, self._find_before), (adapted, adapted.find))
        done = 0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                readout: Readout = end.value
                return readout
            done += 1
            yield Progress("judge", done, max(done, _JUDGING))

    def _find_before(self, embedding: ImageEmbedding) -> Found:
        prototypes = self._prototypes
        assert prototypes is not None  # made before anything is judged
        probability = probability_of(self._model.look(embedding), prototypes.find)
        return find(self._model, embedding, probability, several=self._support.has_several)

    def _settle(self, examples: Examples, head: HeadTraining) -> Iterator[Progress]:
        """Learn from the judged slice, too, now that it was judged by."""
        steps = round(_SETTLING * self._recipe.head_steps)
        if self._is_over("settle") or not steps:
            return
        head.go_on(examples.wholes)
        yield from self._train("settle", head, steps)

    def _train(self, phase: Phase, training: HeadTraining | DecoderTraining, steps: int) -> Iterator[Progress]:
        self._clock.begin(phase)
        for done in range(steps):
            if self._is_over(phase) and self._trained:
                return
            loss = _with_the_memory_there_is(training, _progress(done / steps, self._clock.share(phase)))
            self._trained += 1
            yield Progress(phase, done + 1, steps, loss)

    def _adapter(self, head: HeadTraining, decoder: DecoderTraining | None, readout: Readout | None) -> Adapter:
        spec, recipe = self._model.spec, self._recipe
        facts = AdapterFacts(
            structure=self._support.structure,
            base_name=spec.name,
            base_digest=spec.model_digest,
            encoder_digest=spec.encoder_digest,
            preprocessing=spec.preprocessing,
            licence=spec.licence,
            commercial_use=spec.commercial_use,
            support=tuple(each.digest for each in self._support.slices),
            several=self._support.has_several,
            scattered=self._support.is_scattered,
            placed=not recipe.mirrored,
            steps=self._trained,
            seconds=round(self._clock.seconds, 3),
            seed=recipe.seed,
            readout=readout,
            head_dice=self._head_dice,
        )
        moved = {} if decoder is None else decoder.moved
        tensors = {HEAD + name: value for name, value in head.average.state_dict().items()}
        tensors |= {DECODER + name: value for name, value in moved.items()}
        return Adapter(facts, {name: value.detach().cpu().clone() for name, value in tensors.items()})


def _progress(done: float, share: float) -> float:
    """Return how far the rate has to be, 0..1, from the share of the steps, and of the time, that is over.

    Where time will not suffice for all steps, the rate falls with time. One slow step at the beginning tells nothing.
    """
    return max(done, share - _GRACE * (1 - share))


def _with_the_memory_there_is(training: HeadTraining | DecoderTraining, progress: float) -> float:
    while True:
        try:
            return training.step(progress)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if training.batch == 1:
                step = "Close other programs that use the device, or set MEDFM_DEVICE to cpu and start again."
                raise AdapterError("adapting", "needs more memory than the device has left", step) from error
            training.batch //= 2


def _preparing(recipe: Recipe, support: SupportSet) -> int:
    return len(support.slices) * (3 * recipe.copies + 2)


def _planned(recipe: Recipe, support: SupportSet) -> int:
    trained = recipe.head_steps + recipe.decoder_steps + round(_SETTLING * recipe.head_steps)
    return _preparing(recipe, support) + trained + _JUDGING


def _finder(head: Head) -> Finder:
    return lambda features: head(features[None])[0, 0]


def _coarse(whole: Target) -> Tensor:
    """The truth on the grid of the features; NaN where it is not known."""
    truth = torch.where(whole.known > 0, whole.truth, torch.nan)
    return functional.avg_pool2d(truth, FINER)[0]


def _in_look(probability: NDArray[np.float32], look: Look, cells: int) -> Tensor:
    """Probabilities of an image as logits on the grid of a look."""
    share = np.clip(look.square.gather(probability, cells), _SUREST, 1 - _SUREST)
    return torch.from_numpy(np.log(share / (1 - share))).to(look.features.device)
