"""What adapting minimises: cross-entropy and Dice loss where the truth is known, and the error of the quality."""

import torch
from torch import Tensor
from torch.nn import functional

_QUALITY = 0.3  # weight of the error of the expected quality


def mask_loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the loss of each mask, (b, c).

    Parameters
    ----------
    logits : Tensor, (b, c, h, w)
        Of the masks.
    truth, known : Tensor, (b, 1, h, w)
        Share of each cell that belongs to the object, and whether that is known: 0 or 1.
    """
    truth, known = truth.expand_as(logits), known.expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    mean = (entropy * known).sum(dim=(2, 3)) / known.sum(dim=(2, 3)).clamp_min(1)
    probability = torch.sigmoid(logits) * known
    common = (probability * truth).sum(dim=(2, 3))
    both = probability.sum(dim=(2, 3)) + (truth * known).sum(dim=(2, 3))
    return mean + 1 - (2 * common + 1) / (both + 1)


def answer_loss(logits: Tensor, quality: Tensor, truth: Tensor, known: Tensor, *, settled: bool) -> Tensor:
    """Return the loss of a decoder's answers, ().

    Parameters
    ----------
    logits, truth, known
        See `mask_loss`.
    quality : Tensor, (b, c)
        Expected IoU.
    settled : bool
        Whether the prompts leave no doubt: then the first candidate counts, otherwise the best one.
    """
    losses = mask_loss(logits, truth, known)
    best = losses[:, 0] if settled else losses.min(dim=1).values
    inside, meant = (logits > 0) & (known > 0), (truth > 0.5) & (known > 0)
    common, either = ((part.sum(dim=(2, 3)) + 1.0) for part in (inside & meant, inside | meant))
    return best.mean() + _QUALITY * functional.mse_loss(quality, common / either)


def kept_loss(logits: Tensor, quality: Tensor, logits_before: Tensor, quality_before: Tensor) -> Tensor:
    """Return how far answers are from those before, ().

    Parameters
    ----------
    logits, logits_before : Tensor, (b, c, h, w)
        Of each candidate.
    quality, quality_before : Tensor, (b, c)
        Expected IoU.
    """
    each, before = (part.flatten(0, 1)[:, None] for part in (logits, torch.sigmoid(logits_before)))
    return mask_loss(each, before, torch.ones_like(before)).mean() + functional.mse_loss(quality, quality_before)
