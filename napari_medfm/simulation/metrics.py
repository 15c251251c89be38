"""How well two masks agree, and how many clicks that took.

Masks are boolean arrays of one shape, 2-D or 3-D. Two empty masks agree perfectly;
an empty and a non-empty one do not agree at all. Each function says what that means.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Mask = NDArray[np.bool_]


def dice(first: Mask, second: Mask) -> float:
    """Return the Dice similarity coefficient, 0..1; 1 for two empty masks."""
    overlap, total = _overlap(first, second)
    return 2 * overlap / total if total else 1.0


def iou(first: Mask, second: Mask) -> float:
    """Return intersection over union (Jaccard index), 0..1; 1 for two empty masks."""
    overlap, total = _overlap(first, second)
    return overlap / (total - overlap) if total else 1.0


def nsd(prediction: Mask, truth: Mask, spacing: Sequence[float], tolerance_mm: float = 2.0) -> float:
    """Return the normalised surface Dice at a tolerance.

    The share of both surfaces (3-D) or outlines (2-D) that lies within `tolerance_mm`
    of the other one, each piece weighted by its area or length (MONAI, equal to
    DeepMind's ``surface-distance``). The CVPR 2025 challenge also sets it to 0 where
    Dice <= 0.2; that is the caller's choice.

    Parameters
    ----------
    prediction, truth : ndarray of bool
        Masks of one shape, 2-D or 3-D.
    spacing : sequence of float
        mm per step along each axis.
    tolerance_mm : float
        Distance that still counts as agreement.

    Returns
    -------
    float
        0..1; 1 for two empty masks, 0 if only one is empty.
    """
    _check(prediction, truth, spacing)
    if not (prediction.any() and truth.any()):
        return float(prediction.any() == truth.any())
    from monai.metrics import compute_surface_dice

    pair = _tensor(prediction), _tensor(truth)
    score = compute_surface_dice(
        *pair, class_thresholds=[tolerance_mm], include_background=True, spacing=list(spacing), use_subvoxels=True
    )
    return float(score)


def hd95(prediction: Mask, truth: Mask, spacing: Sequence[float]) -> float:
    """Return the 95th percentile of the Hausdorff distance in mm.

    The larger of the two directed percentiles between border voxels (MONAI).

    Parameters
    ----------
    prediction, truth : ndarray of bool
        Masks of one shape, 2-D or 3-D.
    spacing : sequence of float
        mm per step along each axis.

    Returns
    -------
    float
        mm; 0 for two empty masks, infinite if only one is empty.
    """
    _check(prediction, truth, spacing)
    if not (prediction.any() and truth.any()):
        return 0.0 if prediction.any() == truth.any() else float("inf")
    from monai.metrics import compute_hausdorff_distance

    pair = _tensor(prediction), _tensor(truth)
    distance = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(spacing))
    return float(distance)


def clicks_to(threshold: float, scores: Sequence[float], cap: int = 20) -> int:
    """Return the number of clicks after which a score first reached a threshold (NoC).

    Parameters
    ----------
    threshold : float
        Score that is good enough.
    scores : sequence of float
        Score after click 1, 2, ...
    cap : int
        Returned when it was never reached within that many clicks.
    """
    reached = (number for number, score in enumerate(scores[:cap], start=1) if score >= threshold)
    return next(reached, cap)


def dsc_auc(scores: Sequence[float]) -> float:
    """Return the area under the scores of five clicks, as in the CVPR 2025 challenge.

    Trapezoids over clicks 1 to 5, the opening box not counted; at most 4.

    Parameters
    ----------
    scores : sequence of five float
        Dice (or surface Dice) after clicks 1..5, see `RobotTrace.after_clicks`.

    Raises
    ------
    ValueError
        There are not exactly five.
    """
    if len(scores) != 5:
        raise ValueError(f"the area is defined over five clicks, not {len(scores)}")
    return 0.5 * scores[0] + sum(scores[1:4]) + 0.5 * scores[4]


def _overlap(first: Mask, second: Mask) -> tuple[int, int]:
    if first.shape != second.shape:
        raise ValueError(f"masks of shapes {first.shape} and {second.shape} cannot be compared")
    first, second = first.astype(bool, copy=False), second.astype(bool, copy=False)
    return int(np.count_nonzero(first & second)), int(np.count_nonzero(first)) + int(np.count_nonzero(second))


def _check(prediction: Mask, truth: Mask, spacing: Sequence[float]) -> None:
    if prediction.shape != truth.shape:
        raise ValueError(f"masks of shapes {prediction.shape} and {truth.shape} cannot be compared")
    if len(spacing) != prediction.ndim:
        raise ValueError(f"{len(spacing)} spacings for masks of {prediction.ndim} axes")


def _tensor(mask: Mask) -> "Tensor":
    import torch

    return torch.from_numpy(np.ascontiguousarray(mask, dtype=bool))[None, None]
