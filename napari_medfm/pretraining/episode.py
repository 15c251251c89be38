"""One conversation with the network: encode once, then prompt and correct several times."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from napari_medfm.models.compact_maps import prompt_maps
from napari_medfm.models.compact_network import MAP_STRIDE, CompactNetwork
from napari_medfm.pretraining.chance import Chance
from napari_medfm.pretraining.interaction import NONE, Pointed, click, loose_box, stroke
from napari_medfm.pretraining.objective import Judgement, judge
from napari_medfm.pretraining.sampler import Batch

Autocast = Callable[[], AbstractContextManager[object]]
"""Opens a region of mixed precision."""

STEPS = {1: 0.2, 2: 0.25, 3: 0.25, 4: 0.2, 6: 0.1}
"""How many prompts an object gets, and how often."""

_FEWEST = 4  # cells of an object that can be asked for
_BOXED = 0.4  # of the objects begin with a box
_BOX_ALONE = 0.85  # of which begin without a click
_UNPROMPTED = 0.2  # of the later answers bring no click: the model looks at its own answer a second time
_STROKES = 0.15  # of the steps bring a stroke
_FORGOTTEN = 0.1  # of the later steps do not know the last answer
_MASK_ALONE = 0.25  # of those, the model is told its last answer only: in a part of the image nobody pointed at
_HARDENED = 0.6  # of the last answers are given as masks, the others as probabilities
_COARSE = {1: 0.7, 2: 0.15, 4: 0.15}  # cells of a last answer that was given on a wider view, and how often
_SURE = 8.0  # logit of a mask that is given
_SUREST = 12.0  # logit of an answer that is given


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of an episode.

    Attributes
    ----------
    loss : Tensor, ()
        Mean over its steps.
    first, last : Tensor, ()
        Mean IoU after the first and the last prompt, without gradient.
    """

    loss: Tensor
    first: Tensor
    last: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What all steps share; (b, ...) is one object each."""

    network: CompactNetwork
    features: Tensor
    truth: Tensor
    chance: Chance
    autocast: Autocast

    @property
    def mask(self) -> Tensor:
        return (self.truth > 0.5).float()


def play(network: CompactNetwork, batch: Batch, steps: int, chance: Chance, autocast: Autocast) -> Outcome | None:
    """Ask for every object of a batch, and correct each answer.

    Parameters
    ----------
    network : CompactNetwork
        Answers.
    batch : Batch
        Views and the objects in them.
    steps : int
        Prompts for each object.
    chance : Chance
        Random draws.
    autocast : callable
        Opens the precision the network runs in.

    Returns
    -------
    Outcome or None
        None if no object of the batch is visible.
    """
    truth = functional.avg_pool2d(batch.targets.flatten(0, 1)[:, None], MAP_STRIDE)
    visible = ((truth > 0.5).sum(dim=(1, 2, 3)) >= _FEWEST).nonzero()[:, 0]
    if not len(visible):
        return None
    with autocast():
        encoded = network.encoder(batch.pictures.contiguous(memory_format=torch.channels_last))
    # Not encoded[...], whose gradient is summed one element at a time.
    features = encoded.index_select(0, visible // batch.targets.shape[1])
    features = features.contiguous(memory_format=torch.channels_last)
    return _converse(_Scene(network, features, truth[visible], chance, autocast), steps)


def _converse(scene: _Scene, steps: int) -> Outcome:
    boxed = scene.chance.some(len(scene.truth), _BOXED)
    pointed = _opening(scene, boxed)
    previous: Tensor | None = None
    losses, scores = [], []
    for step in range(steps):
        silent = boxed & scene.chance.some(len(boxed), _BOX_ALONE)
        if step:
            silent = scene.chance.some(len(boxed), _UNPROMPTED)
        pointed = _correct(scene, pointed, previous, silent)
        known = None if previous is None else _known(previous, scene.chance)
        alone = silent & scene.chance.some(len(silent), _MASK_ALONE)
        told = pointed if known is None else pointed.without(alone)
        logits, worth = _answer(scene, told, known)
        settled = boxed if step == 0 else torch.ones_like(boxed)
        judgement = judge(logits, worth, scene.truth, settled)
        losses.append(judgement.loss)
        previous, score = _taken(logits, worth, settled, judgement)
        scores.append(score)
    return Outcome(torch.stack(losses).mean(), scores[0], scores[-1])


def _opening(scene: _Scene, boxed: Tensor) -> Pointed:
    nothing = Pointed.nothing(len(boxed), boxed.device)
    boxes = torch.where(boxed[:, None], loose_box(scene.mask, scene.chance), nothing.boxes)
    return Pointed(nothing.places, nothing.signs, boxes)


def _correct(scene: _Scene, pointed: Pointed, previous: Tensor | None, silent: Tensor) -> Pointed:
    """Click into the larger error of each object that is not silent; some steps add strokes."""
    mask = torch.zeros_like(scene.truth) if previous is None else (previous > 0).float()
    found = click(mask, scene.mask, scene.chance)
    found = type(found)(found.places, torch.where(silent, NONE, found.signs))
    pointed = pointed.add(found.places[:, None], found.signs[:, None])
    if scene.chance.happens(_STROKES):
        pointed = pointed.add(*stroke(found, mask, scene.mask, scene.chance))
    return pointed


def _known(previous: Tensor, chance: Chance) -> Tensor | None:
    """What the network is told of its last answer, as a probability."""
    if chance.happens(_FORGOTTEN):
        return None
    cells = int(chance.decisions.choice(list(_COARSE), p=list(_COARSE.values())))
    if cells > 1:
        coarse = functional.avg_pool2d(previous, cells)
        previous = functional.interpolate(coarse, previous.shape[-2:], mode="bilinear", align_corners=False)
    hardened = chance.some(len(previous), _HARDENED)[:, None, None, None]
    return torch.sigmoid(torch.where(hardened, torch.where(previous > 0, _SURE, -_SURE), previous))


def _answer(scene: _Scene, pointed: Pointed, known: Tensor | None) -> tuple[Tensor, Tensor]:
    cells = scene.truth.shape[-1]
    maps = prompt_maps(pointed.places, pointed.signs, pointed.boxes, known, cells, MAP_STRIDE)
    with scene.autocast():
        logits, worth = scene.network.decoder(scene.features, maps.to(scene.features.dtype))
    return logits.float(), worth.float()


def _taken(logits: Tensor, worth: Tensor, settled: Tensor, judgement: Judgement) -> tuple[Tensor, Tensor]:
    """Return the candidate the person goes on with, (b, 1, h, w), and the mean IoU."""
    chosen = torch.where(settled, 0, worth.argmax(dim=1))
    owners = torch.arange(len(chosen), device=chosen.device)
    answer = logits.detach()[owners, chosen][:, None].clamp(-_SUREST, _SUREST)
    return answer, judgement.iou[owners, chosen].mean()
