"""Training of the decoder by simulated interaction: a prompt, an answer, a correction, one answer for every step.

Four kinds of step are mixed, so that the model learns the structure and forgets nothing: a click, a box, or what the
head found (spoiled a little, as it will be on slices that were not labelled) on the structure; and a click elsewhere,
where the answers are to stay what they were before.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from torch import Tensor
from torch.nn import functional

from napari_medfm.adaptation.examples import Target
from napari_medfm.adaptation.head_training import blend, schedule
from napari_medfm.adaptation.objective import answer_loss, kept_loss
from napari_medfm.models.adaptable import GridPrompts, TrainableDecoder
from napari_medfm.simulation import next_click, noisy_box

_Kind = Literal["click", "box", "found", "elsewhere"]

Mask = NDArray[np.bool_]

SURE = 7.0
"""Logit of a mask that is given."""

_RATE = 4e-4
_AVERAGE = 0.95  # share of the averaged weights that stays in each step
_PULL = 2e-3  # of the way back to the weights before, in each step (L2-SP; Li et al., ICML 2018)
_WAY = 0.8  # that is gone in the end: as good on the structure, safer elsewhere (WiSE-FT; Wortsman et al., CVPR 2022)
_HARD = 0.6  # of the earlier answers are given as masks, the others as they are
_STEEPEST = 1.0  # norm of a gradient
_OPENINGS: dict[_Kind, float] = {"click": 0.2, "box": 0.15, "found": 0.45, "elsewhere": 0.2}
_OPENINGS_AT_A_LOSS: dict[_Kind, float] = {"click": 0.5, "box": 0.15, "found": 0.15, "elsewhere": 0.2}
_MOVED = 3  # cells by which a found mask is shifted at most
_BULGE = 3.0  # logits by which it is spoiled
_WAVE = 12  # cells between the bulges


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """One batch of a conversation that may go on."""

    kind: _Kind
    targets: tuple[Target, ...]
    prompts: GridPrompts
    previous: Tensor | None = None
    is_first: bool = True

    @property
    def features(self) -> Tensor:
        return torch.stack([each.look.features for each in self.targets])

    @property
    def truth(self) -> Tensor:
        return torch.stack([each.truth for each in self.targets])

    @property
    def known(self) -> Tensor:
        return torch.stack([each.known for each in self.targets])

    @property
    def settled(self) -> bool:
        """Whether the prompts leave no doubt about what is meant."""
        return self.previous is not None or self.prompts.boxes is not None


class DecoderTraining:
    """A decoder, and the average of its weights over the last steps.

    Parameters
    ----------
    decoder : TrainableDecoder
        A copy; its module is changed.
    before : TrainableDecoder
        Another copy, which tells what was answered before; it stays as it is.
    objects : sequence of (Target, Tensor)
        What is learned, each beside the logits of the head in that look, (cells, cells).
    batch : int
        Looks in a step.
    seed : int
        Of all draws.
    at_a_loss : bool
        Whether the head does not know the structure: then clicks will be answered without what it found.
    """

    def __init__(
        self,
        decoder: TrainableDecoder,
        before: TrainableDecoder,
        objects: Sequence[tuple[Target, Tensor]],
        *,
        batch: int,
        seed: int,
        at_a_loss: bool = False,
    ) -> None:
        self._decoder, self._before, self._objects = decoder, before, objects
        self.batch = min(batch, decoder.batch)
        self._rng = np.random.default_rng(seed)
        self._openings = _OPENINGS_AT_A_LOSS if at_a_loss else _OPENINGS
        self._moving = [each for each in decoder.module.parameters() if each.requires_grad]
        self._average = copy.deepcopy(decoder.module)
        self._optimiser = torch.optim.AdamW(self._moving, lr=_RATE, weight_decay=0.0, fused=True)
        self._done = 0
        self._scene: _Scene | None = None

    @property
    def moved(self) -> dict[str, Tensor]:
        """The parameters that move, on the way from what they were to the averaged weights."""
        before = dict(self._before.module.named_parameters())
        named = [(name, each) for name, each in self._average.named_parameters() if each.requires_grad]
        return {name: torch.lerp(before[name].detach(), each.detach(), _WAY) for name, each in named}

    def step(self, progress: float) -> float:
        """Take a step and return its loss; `progress`, 0..1, sets the rate, see `schedule`."""
        scene = self._scene or self._open()
        logits, quality = self._decoder.answer(scene.features, scene.prompts, scene.previous)
        if scene.kind == "elsewhere":
            logits_before, quality_before = self._answer_before(scene)
            loss = kept_loss(logits, quality, logits_before, quality_before)
        else:
            logits_before, quality_before = logits.detach(), quality.detach()
            loss = answer_loss(logits, quality, scene.truth, scene.known, settled=scene.settled)
        self._scene = self._correct(scene, logits_before, quality_before) if scene.is_first else None
        self._descend(loss, _RATE * schedule(progress))
        return float(loss.detach())

    def _open(self) -> _Scene:
        kinds = list(self._openings)
        kind = kinds[int(self._rng.choice(len(kinds), p=list(self._openings.values())))]
        count = len(self._objects)
        chosen = self._rng.choice(count, min(self.batch, count), replace=False)
        targets = tuple(self._objects[index][0] for index in chosen)
        if kind == "found":
            return self._begin_with_found(targets, [self._objects[index][1] for index in chosen])
        if kind == "box":
            boxes = torch.stack([self._box(_mask(each.truth)) for each in targets])
            return _Scene(kind, targets, replace(self._clicks(targets, None), boxes=boxes))
        truths = [_mask(each.truth) for each in targets]
        if kind == "elsewhere":
            truths = [~mask & _mask(each.known) for mask, each in zip(truths, targets, strict=True)]
            truths = [mask & (self._rng.random(mask.shape) < 1e-2) for mask in truths]  # anywhere, not in the middle
        return _Scene(kind, targets, self._clicks(targets, truths))

    def _begin_with_found(self, targets: tuple[Target, ...], found: list[Tensor]) -> _Scene:
        """What the head found is to be corrected: boxed, as nobody points at it, or clicked on by a person."""
        masks = [self._spoil(logits, _mask(each.truth)) for logits, each in zip(found, targets, strict=True)]
        previous = torch.stack([_given(torch.from_numpy(mask)) for mask in masks])[:, None].to(found[0].device)
        if self._rng.random() < 0.5:
            prompts = replace(self._clicks(targets, None), boxes=torch.stack([self._exact_box(mask) for mask in masks]))
        else:
            prompts = self._clicks(targets, [_mask(each.truth) for each in targets])
        return _Scene("found", targets, prompts, previous)

    def _correct(self, scene: _Scene, logits: Tensor, quality: Tensor) -> _Scene:
        """A click into the larger error of each, and the answer goes in again.

        Elsewhere nobody knows the truth: there it is thought to be like the answer.
        """
        best = torch.zeros_like(quality[:, 0], dtype=torch.long) if scene.settled else quality.argmax(dim=1)
        answer = logits[torch.arange(len(best)), best]
        truths = [_mask(each.truth) for each in scene.targets]
        if scene.kind == "elsewhere":
            truths = [self._spoil(part, _mask(part > 0)) for part in answer]
        clicks = [self._click(_mask(part > 0), truth) for part, truth in zip(answer, truths, strict=True)]
        places, signs = (torch.stack(parts).to(answer.device) for parts in zip(*clicks, strict=True))
        prompts = replace(
            scene.prompts,
            places=torch.cat([scene.prompts.places, places[:, None]], dim=1),
            signs=torch.cat([scene.prompts.signs, signs[:, None]], dim=1),
        )
        hard = self._rng.random() < _HARD
        previous = _given(answer > 0) if hard else answer.clamp(-SURE, SURE)
        return _Scene(scene.kind, scene.targets, prompts, previous[:, None], is_first=False)

    @torch.no_grad()
    def _answer_before(self, scene: _Scene) -> tuple[Tensor, Tensor]:
        return self._before.answer(scene.features, scene.prompts, scene.previous)

    def _clicks(self, targets: Sequence[Target], truths: list[Mask] | None) -> GridPrompts:
        device = targets[0].truth.device
        if truths is None:
            nowhere = torch.zeros(len(targets), 0, device=device)
            return GridPrompts(nowhere[..., None].expand(-1, -1, 2), nowhere.long())
        clicks = [self._click(np.zeros_like(truth), truth) for truth in truths]
        places, signs = (torch.stack(parts)[:, None].to(device) for parts in zip(*clicks, strict=True))
        return GridPrompts(places, signs)

    def _click(self, mask: Mask, truth: Mask) -> tuple[Tensor, Tensor]:
        point = next_click(mask, truth, rng=self._rng)
        if point is None:
            return torch.zeros(2), torch.tensor(-1)
        return torch.tensor(point.position) + torch.from_numpy(self._rng.uniform(-0.5, 0.5, 2)).float(), torch.tensor(
            int(point.positive)
        )

    def _box(self, truth: Mask) -> Tensor:
        box = noisy_box(truth, self._rng)
        return torch.tensor((0.0, 0.0, *truth.shape) if box is None else (*box.start, *box.stop))

    def _exact_box(self, mask: Mask) -> Tensor:
        rows, columns = find_objects(mask.astype(np.uint8))[0]
        return torch.tensor([rows.start, columns.start, rows.stop, columns.stop], dtype=torch.float32)

    def _spoil(self, logits: Tensor, truth: Mask) -> Mask:
        """Return what was found as it might be on a slice that was not learned from: shifted, and bulging."""
        moved = np.roll(logits.cpu().numpy(), self._rng.integers(-_MOVED, _MOVED + 1, size=2), axis=(0, 1))
        waves = torch.from_numpy(self._rng.normal(scale=_BULGE, size=(1, 1, *(side // _WAVE for side in moved.shape))))
        bulges = functional.interpolate(waves, moved.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
        mask: Mask = np.clip(moved, -SURE, SURE) + bulges > 0
        return mask if mask.any() else truth

    def _descend(self, loss: Tensor, rate: float) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._moving, _STEEPEST)
        self._optimiser.step()
        blend(self._decoder.module, self._before.module, 1 - _PULL)
        self._done += 1
        blend(self._average, self._decoder.module, min(_AVERAGE, self._done / (self._done + 9)))


def _mask(share: Tensor) -> Mask:
    """Return (1, h, w) or (h, w) as a mask."""
    mask: Mask = share.reshape(share.shape[-2:]).cpu().numpy() > 0.5
    return mask


def _given(mask: Tensor) -> Tensor:
    return torch.where(mask, SURE, -SURE)
