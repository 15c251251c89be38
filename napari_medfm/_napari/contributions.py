"""What the manifest names besides the panel: readers, a writer, sample data.

Voxels come in canonical axes; their geometry travels in the layer's metadata, and
goes back into the file with the labels.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import request_values
from numpy.typing import NDArray

from napari_medfm._napari.images import LayerData, geometry_of, image_layer_data
from napari_medfm.errors import ChoiceRequiredError, GeometryError
from napari_medfm.volume import Volume, can_read, open_volume, write_labels

Paths = str | Sequence[str]
ReadLayers = Callable[[Paths], list[LayerData]]


def get_reader(path: Paths) -> ReadLayers | None:
    """Return a reader for NIfTI, NRRD and MetaImage files and DICOM folders; None for anything else."""
    paths = _as_list(path)
    return read_images if paths and all(can_read(each) for each in paths) else None


def read_images(path: Paths) -> list[LayerData]:
    """Read each path into one image layer, with its geometry.

    Where a file or a folder holds several volumes, the person is asked which.

    Raises
    ------
    VolumeError
        A file cannot be read; the message names it, the reason and the next step.
    """
    return [image_layer_data(read_volume(Path(each))) for each in _as_list(path)]


def read_volume(path: Path, ask: Callable[[ChoiceRequiredError], int | None] | None = None) -> Volume:
    """Read a volume, asking which where there are several.

    Parameters
    ----------
    path : Path
        A file or a DICOM folder.
    ask : callable, optional
        Returns the index of the chosen one, or None; by default a dialog does.

    Raises
    ------
    ChoiceRequiredError
        Nobody chose.
    """
    try:
        return open_volume(path)
    except ChoiceRequiredError as several:
        choice = (ask or ask_which)(several)
        if choice is None:
            raise
        return open_volume(path, choice=choice)


def ask_which(several: ChoiceRequiredError) -> int | None:
    """Ask in a dialog which of several volumes is meant; None if it was cancelled."""
    labels = list(several.choices)
    answer = request_values(
        title=several.subject,
        choice={
            "annotation": int,
            "label": "Open",
            "options": {"choices": [(text, k) for k, text in enumerate(labels)]},
        },
    )
    return None if not answer else int(answer["choice"])


def write_label_layer(path: str, data: NDArray[Any], attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer exactly on the grid of the image it was made on.

    Parameters
    ----------
    path : str
        A name ending in ``.nii.gz`` or ``.nii``.
    data : ndarray
        Label ids, canonical axes.
    attributes : dict
        The layer's, as napari hands them over.

    Returns
    -------
    list of str
        The path that was written.

    Raises
    ------
    GeometryError
        The layer does not know where it lies in the patient.
    """
    geometry = geometry_of(attributes.get("metadata", {}))
    if geometry is None or geometry.shape != np.shape(data):
        reason = "does not know where it lies in the patient"
        step = "Open the image with napari-medfm and save the objects that its panel makes, or choose another format."
        raise GeometryError(str(attributes.get("name", "labels")), reason, step)
    return [str(write_labels(Path(path), np.asarray(data), geometry))]


def abdomen_ct() -> list[LayerData]:
    """Return the abdominal CT phantom."""
    return _sample("abdomen_ct.nii.gz")


def brain_mr() -> list[LayerData]:
    """Return the brain MR phantom: thick oblique slices."""
    return _sample("brain_mr.nii.gz")


def ultrasound() -> list[LayerData]:
    """Return the 2-D ultrasound phantom."""
    return _sample("ultrasound.nii.gz")


def sample_folder() -> Path:
    """Return the folder of the phantoms, which are shipped in the package."""
    return Path(__file__).parents[1] / "sample-volumes"  # a hyphen, so that nothing takes the folder for a package


def _sample(name: str) -> list[LayerData]:
    return [image_layer_data(open_volume(sample_folder() / name))]


def _as_list(path: Paths) -> list[str]:
    return [path] if isinstance(path, str) else [str(each) for each in path]
