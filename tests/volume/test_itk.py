"""NRRD and MetaImage: voxels where ITK says they lie, and nothing damaged believed."""

import sys

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medfm.errors import (
    ChoiceRequiredError,
    GeometryError,
    TooLargeError,
    UnreadableFileError,
    UnsupportedDataError,
)
from napari_medfm.volume import open_labels, open_volume, write_labels
from napari_medfm.volume.itk import ITK_SUFFIXES

UPRIGHT = np.eye(3)
OBLIQUE = np.linalg.qr(np.array([[0.9, 0.2, 0.1], [-0.2, 0.95, 0.15], [-0.1, -0.2, 0.97]]))[0]
VALUES = np.random.default_rng(0).integers(-1000, 1000, (7, 8, 9)).astype(np.int16)


def write(path, array=VALUES, *, direction=UPRIGHT, compressed=True, vector=False):
    """Write (z, y, x) with spacing (x, y, z) 0.7, 0.8, 2.5 and an origin, by ITK."""
    image = sitk.GetImageFromArray(array, isVector=vector)
    if image.GetDimension() == 3:
        image.SetDirection(direction.ravel().tolist())
        image.SetOrigin((10, -20, 30))
        image.SetSpacing((0.7, 0.8, 2.5))
    sitk.WriteImage(image, path, compressed)
    return path


@pytest.mark.parametrize("suffix", ITK_SUFFIXES)
@pytest.mark.parametrize("direction", [UPRIGHT, OBLIQUE, np.diag([-1, 1, -1])], ids=["plain", "oblique", "flipped"])
def test_every_voxel_lies_where_itk_says(tmp_path, suffix, direction):
    path = write(tmp_path / f"scan{suffix}", direction=direction)
    image = sitk.ReadImage(path)
    volume = open_volume(path)
    assert volume.geometry.known
    assert volume.geometry.notes == ()
    for voxel in [(0, 0, 0), (8, 7, 6), (3, 1, 4)]:
        place = np.multiply(image.TransformIndexToPhysicalPoint(voxel), (-1, -1, 1))
        index = tuple(np.rint(volume.geometry.to_voxel(place)).astype(int))
        assert volume.geometry.to_world(index) == pytest.approx(place, abs=1e-3)
        assert volume.array[index] == image[voxel]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_labels_lie_on_it_and_may_be_of_its_kind(tmp_path, suffix):
    volume = open_volume(write(tmp_path / f"scan{suffix}", direction=OBLIQUE))
    labels = (np.abs(VALUES) > 500).astype(np.uint8)
    itk_labels = write(tmp_path / f"labels{suffix}", labels, direction=OBLIQUE)
    ours = open_labels(itk_labels, volume)
    assert np.array_equal(open_labels(write_labels(tmp_path / "out.nii.gz", ours, volume.geometry), volume), ours)
    assert np.array_equal(ours > 0, np.abs(volume.array) > 500)
    with pytest.raises(GeometryError):
        open_labels(write(tmp_path / f"other{suffix}", labels), volume)


@pytest.mark.parametrize("suffix", ITK_SUFFIXES)
def test_of_a_hundred_flipped_bits_of_compressed_voxels_none_gives_other_voxels(tmp_path, suffix, capfd):
    path = write(tmp_path / f"scan{suffix}")
    data = next((file for file in tmp_path.iterdir() if file != path), path)
    whole = data.read_bytes()
    start = 0 if data != path else len(whole) - 700
    rng = np.random.default_rng(1)
    for _ in range(100):
        content = bytearray(whole)
        content[rng.integers(start, len(content))] ^= 1 << int(rng.integers(8))
        data.write_bytes(content)
        try:
            found = open_volume(path).array
        except (UnreadableFileError, UnsupportedDataError):
            continue
        assert np.array_equal(found, VALUES)
    data.write_bytes(whole)
    assert np.array_equal(open_volume(path).array, VALUES)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("suffix", ITK_SUFFIXES)
def test_a_file_cut_anywhere_is_refused(tmp_path, suffix, compressed):
    path = write(tmp_path / f"scan{suffix}", compressed=compressed)
    data = next((file for file in tmp_path.iterdir() if file != path), path)
    whole = data.read_bytes()
    for share in (0.05, 0.4, 0.9, 0.999):
        data.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UnreadableFileError) as caught:
            open_volume(path)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(("suffix", "line"), [(".nhdr", "data file: {}\n"), (".mhd", "ElementDataFile = {}\n")])
@pytest.mark.parametrize("elsewhere", ["../secret.raw", "/etc/hostname", "LIST", "slice%03d.raw 1 7 1"])
def test_voxels_elsewhere_are_refused(tmp_path, suffix, line, elsewhere):
    path = write(tmp_path / f"scan{suffix}", compressed=False)
    lines = [part for part in path.read_text().splitlines() if "data" not in part.lower()]
    path.write_text("\n".join(lines) + "\n" + line.format(elsewhere))
    with pytest.raises(UnsupportedDataError, match="in several files, or in another folder"):
        open_volume(path)


def test_a_missing_data_file_is_named(tmp_path):
    path = write(tmp_path / "scan.mhd")
    (tmp_path / "scan.zraw").unlink()
    with pytest.raises(UnreadableFileError, match=r"^scan\.zraw: is not there"):
        open_volume(path)


def test_a_file_that_says_nothing_of_the_patient_is_told(tmp_path):
    path = tmp_path / "scan.nrrd"
    head = (
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 9 8 7\nspacings: 0.7 0.8 2.5\nencoding: raw\nendian: little\n\n"
    )
    path.write_bytes(head + VALUES.tobytes())
    volume = open_volume(path)
    assert not volume.geometry.known
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert np.array_equal(volume.array, VALUES)
    assert "does not say how it lies in the patient" in volume.geometry.notes[0]


def test_colour_flat_and_four_dimensional_images(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (8, 9, 3)).astype(np.uint8)
    picture = open_volume(write(tmp_path / "photo.mha", colours, vector=True))
    assert picture.is_rgb
    assert np.array_equal(picture.array, colours)
    series = np.stack([VALUES, VALUES + 1])
    path = write(tmp_path / "series.nrrd", series)
    with pytest.raises(ChoiceRequiredError):
        open_volume(path)
    assert np.array_equal(open_volume(path, choice=1).array, VALUES + 1)


def test_other_kinds_of_values_are_refused_by_name(tmp_path):
    with pytest.raises(UnsupportedDataError, match=r"2 x vector of 32-bit float"):
        open_volume(write(tmp_path / "k.mha", VALUES.astype(np.complex64)))
    with pytest.raises(UnsupportedDataError, match="holds values of a kind that is not read"):
        open_volume(write(tmp_path / "v.mha", np.zeros((4, 5, 6, 2), np.float32), vector=True))


def test_more_than_the_memory_is_refused(tmp_path):
    with pytest.raises(TooLargeError):
        open_volume(write(tmp_path / "scan.nrrd"), limit=100)


def test_the_modality_is_that_of_the_file(tmp_path):
    path = write(tmp_path / "scan.mhd")
    path.write_text("ObjectType = Image\nModality = MET_MOD_CT\n" + path.read_text().split("\n", 1)[1])
    assert open_volume(path).modality == "CT"


def test_without_simpleitk_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "scan.nrrd")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(UnsupportedDataError, match=r"pip install napari-medfm\[itk\]"):
        open_volume(path)
