"""Discs on noise: easy to learn, so that learning can be seen after a few steps."""

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_medfm.adaptation import Recipe, SupportSet, SupportSlice

SHAPE = (72, 96)
QUICK = Recipe(seconds=6000, copies=1, head_steps=20, decoder_steps=4)  # time never decides what is learned


def disc(seed):
    """Return an image with a bright disc somewhere and a dark one elsewhere, and the mask of the bright one."""
    rng = np.random.default_rng(seed)
    row, column, radius = rng.uniform(24, 48), rng.uniform(22, 40), rng.uniform(9, 13)
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    mask = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    other = (rows - row) ** 2 + (columns - column - 38) ** 2 < radius**2
    image = 90 + 90 * mask - 60 * other + gaussian_filter(rng.normal(0, 30, SHAPE), 1)
    return np.clip(image, 0, 255).astype(np.uint8), mask


def support_on(model, seeds=(1, 2, 3)):
    slices = []
    for seed in seeds:
        image, mask = disc(seed)
        slices.append(SupportSlice.annotated(model.encode(image), mask, title=f"slice {seed}"))
    return SupportSet("disc", tuple(slices))
