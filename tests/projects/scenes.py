"""Small volumes with a bright lesion each, through three of five slices, and a dark thing beside it."""

import numpy as np

from napari_medfm.volume import Volume, array_geometry, write_volume

SHAPE, SPACING = (5, 96, 96), (3.0, 1.0, 1.0)
LESIONS = {"a": (30, 32), "b": (62, 58), "c": (40, 66)}
"""(row, column) of the middle of each image's lesion."""
RADIUS, SLICES = 11, (1, 2, 3)


def scene(name):
    """Return an image and the mask of its lesion."""
    rng = np.random.default_rng(ord(name))
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    row, column = LESIONS[name]
    bright = np.hypot(rows - row, columns - column) <= RADIUS
    dark = np.hypot(rows - (95 - row), columns - (95 - column)) <= RADIUS
    array = rng.normal(100, 6, SHAPE)
    mask = np.zeros(SHAPE, bool)
    mask[list(SLICES)] = bright
    array[mask] += 90
    array[:, dark] -= 60
    return Volume(np.clip(array, 0, 255).astype(np.uint8), array_geometry(SHAPE, SPACING), name=name), mask


def write_scenes(folder):
    """Write all of them, and a file that is none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LESIONS:
        write_volume(folder / f"{name}.nii.gz", scene(name)[0])
    (folder / "bad.nii.gz").write_bytes(b"no")
    return folder
