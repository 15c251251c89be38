"""Image layers keep the geometry of their volume, and other readers' layers get one."""

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_medfm._napari.images import METADATA_KEY, geometry_of, image_layer_data, is_usable, volume_of
from napari_medfm.errors import UnsupportedDataError
from napari_medfm.volume import Volume, array_geometry


def layer_of(volume):
    data, arguments, _ = image_layer_data(volume)
    return Image(data, **arguments)


def test_a_volume_is_shown_on_its_grid_with_positive_scale_in_mm(small_volume):
    data, arguments, kind = image_layer_data(small_volume)
    assert kind == "image"
    assert data is small_volume.array
    layer = layer_of(small_volume)
    assert tuple(layer.scale) == small_volume.spacing
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    assert np.allclose(np.asarray(layer.affine.affine_matrix), np.eye(4))
    assert arguments["contrast_limits"][0] < arguments["contrast_limits"][1]


def test_a_layer_of_ours_gives_its_volume_back(small_volume):
    layer = layer_of(small_volume)
    volume = volume_of(layer)
    assert volume.geometry is small_volume.geometry
    assert volume.array is layer.data
    assert volume.modality == "CT"
    assert geometry_of(layer.metadata) is small_volume.geometry


def test_a_layer_of_another_reader_is_taken_as_axial_with_its_scale_as_spacing():
    volume = volume_of(Image(np.zeros((5, 6, 7)), scale=(3, 0.5, 0.5), name="plain"))
    assert volume.spacing == (3, 0.5, 0.5)
    assert not volume.geometry.known
    assert volume.name == "plain"
    assert geometry_of({}) is None


def test_a_colour_image_keeps_its_channels():
    volume = volume_of(Image(np.zeros((6, 7, 3), np.uint8), rgb=True))
    assert volume.shape == (6, 7)
    assert volume.is_rgb
    layer = layer_of(volume)
    assert layer.rgb
    assert layer.ndim == 2


def test_data_that_were_replaced_no_longer_have_the_old_geometry(small_volume):
    layer = layer_of(small_volume)
    layer.data = np.zeros((4, 4, 4))
    assert not volume_of(layer).geometry.known


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Image(np.zeros((2, 5, 6, 7)), name="four"), "4 axes"),
        (Image([np.zeros((64, 64)), np.zeros((32, 32))], multiscale=True, name="steps"), "pyramid"),
        (Image(np.zeros((6, 7)), rotate=10, name="turned"), "rotated or sheared"),
        (Image(np.zeros((6, 7)), shear=[0.1], name="sheared"), "rotated or sheared"),
        (Image(np.zeros((6, 7)), affine=[[0, 1, 0], [1, 0, 0], [0, 0, 1]], name="swapped"), "rotated or sheared"),
    ],
    ids=lambda value: value.name if isinstance(value, Image) else "",
)
def test_what_cannot_be_clicked_on_safely_is_refused_by_name(layer, reason):
    assert not is_usable(layer)
    with pytest.raises(UnsupportedDataError, match=reason) as refused:
        volume_of(layer)
    assert refused.value.subject == layer.name


def test_only_images_can_be_annotated():
    assert is_usable(Image(np.zeros((5, 6, 7)), translate=(4, 4, 4)))
    assert not is_usable(Labels(np.zeros((5, 6, 7), int)))


def test_labels_carry_the_geometry_itself():
    geometry = array_geometry((5, 6, 7))
    assert geometry_of({METADATA_KEY: geometry}) is geometry
    assert geometry_of({METADATA_KEY: Volume(np.zeros((5, 6, 7)), geometry)}) is geometry
