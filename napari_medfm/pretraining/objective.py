"""What training minimises: focal and Dice loss of the mask, and the error of the expected IoU."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_FOCAL = 4.0  # weight of the focal loss beside Dice
_EASY = 0.02  # share that sure pixels keep in the focal loss
_FIRST = 0.1  # weight of the first candidate where the best one is trained
_QUALITY = 0.3  # weight of the error of the expected IoU


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """How good answers are.

    Attributes
    ----------
    loss : Tensor, ()
        To be minimised.
    iou : Tensor, (b, candidates)
        Of the masks, without gradient.
    """

    loss: Tensor
    iou: Tensor


def judge(logits: Tensor, worth: Tensor, truth: Tensor, settled: Tensor) -> Judgement:
    """Compare answers with the truth.

    Parameters
    ----------
    logits : Tensor, (b, candidates, h, w)
        Of the masks.
    worth : Tensor, (b, candidates)
        Logit of the expected IoU.
    truth : Tensor, (b, 1, h, w)
        Share of each cell that belongs to the object.
    settled : Tensor of bool, (b,)
        Where the prompts leave no doubt about what is meant, the first candidate is trained; elsewhere the
        best one (multiple choice learning; Li et al., CVPR 2018; Kirillov et al., ICCV 2023).
    """
    truth = truth.expand_as(logits)
    losses = _focal(logits, truth) * _FOCAL + _dice(logits, truth)
    best = losses.min(dim=1).values + _FIRST * losses[:, 0]
    found = iou(logits > 0, truth > 0.5)
    quality = functional.mse_loss(torch.sigmoid(worth.float()), found)
    return Judgement(torch.where(settled, losses[:, 0], best).mean() + _QUALITY * quality, found)


def iou(mask: Tensor, truth: Tensor) -> Tensor:
    """Return the IoU of masks, (b, c, h, w) bool each, as (b, c); 1 where both are empty."""
    common, either = ((part.sum(dim=(2, 3)) + 1.0) for part in (mask & truth, mask | truth))
    return common / either


def _focal(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy in which sure pixels count little (Lin et al., ICCV 2017), (b, c)."""
    wrong = (torch.sigmoid(logits) - truth).abs()
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return ((wrong + _EASY) * entropy).mean(dim=(2, 3))


def _dice(logits: Tensor, truth: Tensor) -> Tensor:
    """One minus soft Dice (Milletari et al., 3DV 2016), (b, c)."""
    probability = torch.sigmoid(logits)
    common, both = (probability * truth).sum(dim=(2, 3)), probability.sum(dim=(2, 3)) + truth.sum(dim=(2, 3))
    return 1 - (2 * common + 1) / (both + 1)
