"""Prompts in the terms of Segment Anything and of its successors: clicks, a box, and the logits of a mask."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_medfm.models.base import MaskPrediction, PromptKind
from napari_medfm.models.transforms import Frame
from napari_medfm.prompts import MaskPrompt, Point, PromptSet, Scribble, as_points, rasterize

_SURE = 1e-3  # a mask says 0.1 % or 99.9 %: logits of about 7, as large as the decoder's own


@dataclass(frozen=True, slots=True, eq=False)
class DecoderInputs:
    """What a prompt encoder takes, in the square that the image encoder sees.

    Attributes
    ----------
    points : ndarray of float, (n, 2)
        Clicks as (x, y).
    labels : ndarray of int, (n,)
        1 what belongs to the object, 0 what does not.
    box : ndarray of float, (4,), optional
        Left, top, right and bottom edge.
    logits : ndarray of float32, (h, w), optional
        A mask to be refined.
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int_]
    box: NDArray[np.float64] | None
    logits: NDArray[np.float32] | None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        return not len(self.labels) and self.box is None and self.logits is None

    @property
    def ambiguous(self) -> bool:
        """Whether it is a first click by itself, which may mean a part or the whole."""
        return self.labels.tolist() == [1] and self.box is None and self.logits is None


def translate(
    prompts: PromptSet,
    previous: MaskPrediction | None,
    frame: Frame,
    kinds: Collection[PromptKind],
    mask_size: tuple[int, int],
) -> DecoderInputs:
    """Say prompts in the decoder's terms.

    Points and boxes go in as they are, a box by its edges: ``start`` and ``stop`` are its corners, as in COCO. What the
    model does not take becomes points. The previous answer's logits, or else a mask prompt, go in as the mask; a mask
    prompt alone brings its bounding box with it.

    Parameters
    ----------
    prompts : PromptSet
        Of one plane.
    previous : MaskPrediction, optional
        The last answer, of this model or another.
    frame : Frame
        How the image was put into the square.
    kinds : collection of str
        What the model takes directly.
    mask_size : (int, int)
        (rows, columns) of the logits it takes.
    """
    prompts = as_points(prompts, frame.image_shape, keep=kinds)
    corners = _corners(prompts, frame.image_shape)
    places = [*prompts.points, *_stroke_pixels(prompts, frame.image_shape)]
    return DecoderInputs(
        points=frame.points(np.asarray([point.position for point in places], dtype=float).reshape(-1, 2)),
        labels=np.asarray([int(point.positive) for point in places], dtype=int),
        box=None if corners is None else frame.points(corners).reshape(4),
        logits=_mask_input(prompts, previous, frame, mask_size),
    )


def _mask_input(
    prompts: PromptSet, previous: MaskPrediction | None, frame: Frame, size: tuple[int, int]
) -> NDArray[np.float32] | None:
    if previous is not None and previous.logits.shape == size:
        return previous.logits
    mask = _drawn(prompts, frame.image_shape) if previous is None else previous.mask
    if not mask.any():
        return None
    share = np.clip(frame.low_res(mask, size[0]), _SURE, 1 - _SURE)
    return np.asarray(np.log(share / (1 - share)), dtype=np.float32)


def _corners(prompts: PromptSet, image_shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """Two (row, column) corners of the box, or of the mask if it is all there is."""
    if prompts.box is not None:
        return np.asarray((prompts.box.start, prompts.box.stop), dtype=float)
    inside = np.argwhere(_drawn(prompts, image_shape))
    if prompts.points or any(isinstance(prompt, Scribble) for prompt in prompts) or not inside.size:
        return None
    return np.asarray((inside.min(axis=0), inside.max(axis=0) + 1), dtype=float)


def _stroke_pixels(prompts: PromptSet, image_shape: tuple[int, int]) -> list[Point]:
    """Every pixel of the strokes that are left, as a click."""
    return [
        Point(stroke.plane, (float(row), float(column)), stroke.positive)
        for stroke in prompts
        if isinstance(stroke, Scribble)
        for row, column in np.argwhere(rasterize(stroke, image_shape))
    ]


def _drawn(prompts: PromptSet, image_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of the mask prompts."""
    masks = [prompt.to_mask(image_shape) for prompt in prompts if isinstance(prompt, MaskPrompt)]
    union: NDArray[np.bool_] = np.logical_or.reduce([np.zeros(image_shape, dtype=np.bool_), *masks])
    return union
