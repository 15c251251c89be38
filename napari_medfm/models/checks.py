"""What every backend refuses and answers alike, in one place."""

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import ModelError, PromptError
from napari_medfm.models.base import ImageEmbedding, MaskPrediction
from napari_medfm.prompts import PromptSet, check_inside


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


def check_embedding(embedding: ImageEmbedding, encoder_digest: str) -> None:
    """Refuse an embedding that another encoder made.

    Raises
    ------
    ModelError
        The digests differ.
    """
    if embedding.encoder_digest != encoder_digest:
        raise ModelError("embedding", "was made by another encoder", "Encode the image with this model.")


def has_positive(prompts: PromptSet) -> bool:
    """Whether any prompt says what belongs to the object."""
    return any(prompt.positive for prompt in prompts)


def empty_prediction(image_shape: tuple[int, int], low_res_shape: tuple[int, int]) -> MaskPrediction:
    """Return the answer to prompts none of which is positive: nothing, at quality 0."""
    return MaskPrediction(
        masks=np.zeros((1, *image_shape), dtype=np.bool_),
        low_res=np.full((1, *low_res_shape), -10.0, dtype=np.float32),
        qualities=np.zeros(1, dtype=np.float32),
    )
