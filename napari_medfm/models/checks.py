"""What every backend refuses and answers alike, in one place."""

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import ModelError, PromptError
from napari_medfm.models.base import ImageEmbedding, MaskPrediction
from napari_medfm.prompts import PromptSet, check_inside
from napari_medfm.volume import LatticeRegion

_DRAW = "Draw it on the image."


def check_image(image: NDArray[np.uint8]) -> None:
    """Refuse what is not a windowed image.

    Parameters
    ----------
    image : ndarray of uint8, (rows, columns) or (rows, columns, 3)
        Must have at least one pixel.

    Raises
    ------
    ModelError
        Another type, shape or number of channels.
    """
    grey_or_rgb = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not grey_or_rgb or image.size == 0:
        reason = f"has shape {image.shape} and type {image.dtype}"
        step = "Apply an intensity window first: models take uint8 (rows, columns) or (rows, columns, 3)."
        raise ModelError("image", reason, step)


def check_region(image: NDArray[np.float32], size: tuple[int, ...]) -> None:
    """Refuse what is not a region of a volume.

    Parameters
    ----------
    image : ndarray of float32, (x, y, z)
        Values as they stand in the file.
    size : (int, int, int)
        What the shape has to be.

    Raises
    ------
    ModelError
        Another type or shape, or values that are not finite.
    """
    if image.dtype != np.float32 or image.shape != size or not np.isfinite(image).all():
        reason = f"has shape {image.shape} and type {image.dtype}, or values that are not finite"
        wanted = " x ".join(str(length) for length in size)
        raise ModelError("region", reason, f"This model answers for volumes: give it {wanted} values, float32.")


def check_prompts(prompts: PromptSet, image_shape: tuple[int, int]) -> None:
    """Refuse prompts that cannot be answered.

    Parameters
    ----------
    prompts : PromptSet
        Of one object.
    image_shape : (int, int)
        (rows, columns).

    Raises
    ------
    PromptError
        No prompt, prompts on several planes, or one that lies outside the image.
    """
    if not len(prompts):
        raise PromptError("prompts", "there is none", "Click on the object first.")
    if len(prompts.planes) > 1:
        raise PromptError("prompts", "they lie on several planes", "Predict each plane by itself.")
    for prompt in prompts:
        check_inside(prompt, image_shape)


def check_placed(prompts: PromptSet, embedding: ImageEmbedding) -> LatticeRegion:
    """Return the region of an embedding, if prompts can be answered there.

    Raises
    ------
    PromptError
        No prompt, or one that lies outside the volume.
    ModelError
        The embedding does not tell its region.
    """
    if not len(prompts):
        raise PromptError("prompts", "there is none", "Click on the object first.")
    if embedding.region is None:
        raise ModelError("embedding", "does not tell where it lies", "Embed the region with a predictor.")
    shape = embedding.region.lattice.limits[::-1]
    for prompt in prompts:
        if not (0 <= prompt.plane.axis < 3 and 0 <= prompt.plane.index < shape[prompt.plane.axis]):
            raise PromptError(f"{prompt.kind} on slice {prompt.plane.index}", "lies outside the image", _DRAW)
        check_inside(prompt, prompt.plane.shape(shape))
    return embedding.region


def check_embedding(embedding: ImageEmbedding, encoder_digest: str) -> None:
    """Refuse an embedding that another encoder made.

    Raises
    ------
    ModelError
        The digests differ.
    """
    if embedding.encoder_digest != encoder_digest:
        raise ModelError("embedding", "was made by another encoder", "Encode the image with this model.")


def placed_points(prompts: PromptSet, region: LatticeRegion) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the clicks that lie in a region, and whether each says what belongs to the object.

    Returns
    -------
    (ndarray of float64, (n, 3), ndarray of bool, (n,))
        Positions (x, y, z) in the region, and signs.
    """
    points = prompts.points
    voxels = np.array([point.plane.to_voxel(point.position) for point in points], np.float64).reshape(-1, 3)
    positions = region.positions(voxels)
    inside = region.inside(positions)
    return positions[inside], np.array([point.positive for point in points], bool)[inside]


def has_positive(prompts: PromptSet) -> bool:
    """Whether any prompt says what belongs to the object."""
    return any(prompt.positive for prompt in prompts)


def empty_prediction(image_shape: tuple[int, ...], low_res_shape: tuple[int, ...]) -> MaskPrediction:
    """Return the answer to prompts none of which is positive: nothing, at quality 0."""
    return MaskPrediction(
        masks=np.zeros((1, *image_shape), dtype=np.bool_),
        low_res=np.full((1, *low_res_shape), -10.0, dtype=np.float32),
        qualities=np.zeros(1, dtype=np.float32),
    )
