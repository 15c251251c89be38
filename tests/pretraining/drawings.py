"""Pictures of discs, drawn in no time, as two data sets that look different."""

import numpy as np

from napari_medfm.pretraining.pack import Picture

SIDE = 96


def draw(rng, dataset, count=2):
    """Return a picture of discs, numbered from 1, on noise; colour where the data set says so."""
    marked = np.zeros((SIDE, SIDE), np.uint16)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    for number in range(1, count + 1):
        radius = rng.integers(8, 16)
        row, column = rng.integers(radius, SIDE - radius, 2)
        marked[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = number
    levels = np.array([50, 190, 120])[marked] + rng.normal(0, 6, marked.shape)
    image = np.clip(levels, 0, 255).astype(np.uint8)
    return Picture(dataset, np.stack([image, 255 - image, image], -1) if "colour" in dataset else image, marked)


def draw_all():
    """Return twelve pictures of one data set and two of another."""
    rng = np.random.default_rng(3)
    return [draw(rng, "many") for _ in range(12)] + [draw(rng, "few_in_colour") for _ in range(2)]
