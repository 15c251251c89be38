import gzip
import json
import struct
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from napari_medfm.errors import GeometryError, UnsupportedDataError, WriteError
from napari_medfm.volume import (
    Volume,
    array_geometry,
    automatic_window,
    open_labels,
    open_volume,
    write_labels,
    write_volume,
)

from .nifti_files import RAS_AFFINE, numbered, qform_fields, write_nifti_file

CUBE = numbered((4, 5, 6))
POSITION = ("qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d")
OFFSETS = ("qoffset_x", "qoffset_y", "qoffset_z", "xyzt_units")


@pytest.fixture
def scan(tmp_path):
    """Return an image file with sform and qform, and the volume in it."""
    path = write_nifti_file(tmp_path / "scan.nii.gz", CUBE, **qform_fields(RAS_AFFINE, code=3))
    return path, open_volume(path)


def content(path):
    raw = path.read_bytes()
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


@pytest.mark.parametrize("name", ["labels.nii.gz", "labels.nii", "LABELS.NII.GZ"])
def test_labels_have_the_position_fields_of_the_image(scan, tmp_path, name):
    path, volume = scan
    out = write_labels(tmp_path / name, np.ones(volume.shape, bool), volume.geometry)
    written = nib.Nifti1Image.from_bytes(content(out))
    for field in (*POSITION, *OFFSETS):
        assert np.array_equal(written.header[field], nib.load(path).header[field])
    assert np.array_equal(written.header["pixdim"][:4], nib.load(path).header["pixdim"][:4])
    assert struct.unpack_from("<ff", content(out), 112) == (1, 0), "slope and intercept on disk"
    assert out.read_bytes().startswith(b"\x1f\x8b") == name.lower().endswith(".gz")


@pytest.mark.parametrize(
    ("largest", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65536, np.uint32), (2**32 - 1, np.uint32)]
)
def test_the_integer_type_is_as_wide_as_the_labels_need(scan, tmp_path, largest, dtype):
    _, volume = scan
    labels = np.zeros(volume.shape, np.int64)
    labels[1, 2, 3] = largest
    out = write_labels(tmp_path / "labels.nii.gz", labels, volume.geometry)
    assert nib.load(out).get_data_dtype() == dtype
    back = open_labels(out, volume)
    assert back.dtype == (np.uint16 if largest < 2**16 else np.uint32)
    assert back.max() == largest


@pytest.mark.parametrize("labels", [-np.ones((6, 5, 4)), np.full((6, 5, 4), 0.5), np.full((6, 5, 4), 2**32)])
def test_values_that_are_no_labels_are_refused(scan, tmp_path, labels):
    _, volume = scan
    with pytest.raises(UnsupportedDataError, match="is no label map"):
        write_labels(tmp_path / "labels.nii.gz", labels, volume.geometry)
    assert not (tmp_path / "labels.nii.gz").exists()


@pytest.mark.parametrize("value", [-1, 0.5, np.nan])
def test_a_label_file_with_other_values_is_refused(scan, tmp_path, value):
    _, volume = scan
    path = write_nifti_file(tmp_path / "labels.nii.gz", np.full((4, 5, 6), value, np.float32))
    with pytest.raises(UnsupportedDataError, match="is no label map"):
        open_labels(path, volume)


def test_whole_numbers_stored_as_floats_are_labels(scan, tmp_path):
    _, volume = scan
    path = write_nifti_file(tmp_path / "labels.nii.gz", CUBE.astype(np.float32))
    assert np.array_equal(open_labels(path, volume), volume.array)


def test_labels_of_another_shape_are_refused(scan, tmp_path):
    _, volume = scan
    with pytest.raises(GeometryError, match="the image is"):
        write_labels(tmp_path / "labels.nii.gz", np.zeros((2, 2, 2), np.uint8), volume.geometry)


def test_the_image_itself_is_never_overwritten(scan):
    path, volume = scan
    before = path.read_bytes()
    with pytest.raises(WriteError, match="is the image itself"):
        write_labels(path, np.ones(volume.shape, np.uint8), volume.geometry)
    link = path.with_name("other.nii.gz")
    link.hardlink_to(path)
    with pytest.raises(WriteError, match="is the image itself"):
        write_labels(link, np.ones(volume.shape, np.uint8), volume.geometry)
    assert path.read_bytes() == before


def test_labels_are_replaced_in_place_any_number_of_times(scan, tmp_path):
    _, volume = scan
    for value in (1, 2):
        out = write_labels(tmp_path / "labels.nii.gz", np.full(volume.shape, value), volume.geometry)
        assert (open_labels(out, volume) == value).all()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["labels.nii.gz", "scan.nii.gz"]


def test_a_failed_write_leaves_the_old_labels(scan, tmp_path):
    _, volume = scan
    out = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    before = out.read_bytes()
    elsewhere = replace(volume.geometry, affine=np.diag([1.0, 2, 3, 1]))
    with pytest.raises(WriteError, match="read back different"):
        write_labels(out, np.zeros(volume.shape, np.uint8), elsewhere)
    assert out.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["labels.nii.gz", "scan.nii.gz"]


@pytest.mark.parametrize("name", ["labels.txt", "labels.nrrd", "labels.png"])
def test_a_format_that_cannot_hold_the_labels_is_refused(scan, tmp_path, name):
    _, volume = scan
    with pytest.raises(WriteError, match=r"\.nii\.gz"):
        write_labels(tmp_path / name, np.zeros(volume.shape, np.uint8), volume.geometry)


def test_text_of_the_image_header_is_not_copied_into_labels(tmp_path):
    path = write_nifti_file(tmp_path / "scan.nii.gz", CUBE, descrip=b"CANARY", aux_file=b"CANARY", db_name=b"CANARY")
    volume = open_volume(path)
    out = write_labels(tmp_path / "labels.nii", np.ones(volume.shape, np.uint8), volume.geometry)
    assert b"CANARY" not in out.read_bytes()
    assert "CANARY" not in repr(volume.geometry) + repr(volume.metadata)


@pytest.mark.parametrize("version", [1, 2])
def test_labels_have_the_version_of_the_image(tmp_path, version):
    volume = open_volume(write_nifti_file(tmp_path / "scan.nii.gz", CUBE, version=version))
    out = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    assert isinstance(nib.load(out), nib.Nifti2Image) == (version == 2)
    assert np.array_equal(nib.load(out).affine, nib.load(tmp_path / "scan.nii.gz").affine)


def test_a_header_in_micrometres_is_read_in_mm_and_written_back_in_micrometres(tmp_path):
    micro = np.diag([500, 500, 2000, 1]).astype(np.float32)
    path = write_nifti_file(tmp_path / "scan.nii.gz", CUBE, micro, xyzt_units=3)
    volume = open_volume(path)
    assert volume.spacing == pytest.approx((2.0, 0.5, 0.5))
    assert "micrometres" in volume.geometry.notes[0]
    out = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    assert np.array_equal(nib.load(out).affine, nib.load(path).affine)
    assert int(nib.load(out).header["xyzt_units"]) == 3


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.uint8, np.int16, np.uint16, np.int32, np.float16, np.float32, np.float64, np.int64]
)
def test_images_of_every_type_are_written_and_read_back(tmp_path, small_volume, dtype):
    volume = Volume(small_volume.array.astype(dtype), small_volume.geometry)
    back = open_volume(write_volume(tmp_path / "image.nii.gz", volume))
    assert np.array_equal(back.array, volume.array)
    assert np.allclose(back.geometry.affine, volume.geometry.affine)
    assert back.geometry.known


def test_images_with_nan_are_written_and_read_back(tmp_path, small_volume):
    array = small_volume.array.astype(np.float32)
    array[0, 0, 0] = np.nan
    back = open_volume(write_volume(tmp_path / "image.nii.gz", Volume(array, small_volume.geometry)))
    assert np.array_equal(back.array, array, equal_nan=True)


@pytest.mark.parametrize("shape", [(3, 5, 4, 3), (5, 4, 3)])
def test_colour_images_are_written_and_read_back(tmp_path, shape):
    array = numbered(shape, np.uint8)
    volume = Volume(array, array_geometry(shape[:-1]))
    back = open_volume(write_volume(tmp_path / "image.nii.gz", volume))
    assert back.is_rgb
    assert np.array_equal(back.array, array)


@pytest.mark.parametrize("shape", [(3, 5, 4), (5, 4)])
def test_an_array_without_position_is_written_without_one_and_its_labels_fit(tmp_path, shape):
    volume = Volume(numbered(shape), array_geometry(shape, (2.0, 0.5, 0.7)[-len(shape) :]))
    image = write_volume(tmp_path / "image.nii.gz", volume)
    back = open_volume(image)
    assert not back.geometry.known
    assert np.array_equal(back.array, volume.array)
    assert back.spacing == pytest.approx(volume.spacing)
    labels = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    assert np.array_equal(open_labels(labels, volume), volume.array)
    assert np.array_equal(open_labels(labels, back), volume.array)


def test_qform_and_sform_agree_where_the_grid_is_rigid(tmp_path, small_volume):
    out = write_labels(tmp_path / "labels.nii.gz", small_volume.array > 0, small_volume.geometry)
    header = nib.load(out).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    assert np.allclose(header.get_qform(), header.get_sform())


@pytest.mark.parametrize(
    ("sidecar", "modality"),
    [({"Modality": "MR"}, "MR"), ({"Modality": "Smith^John"}, ""), ({}, ""), (["MR"], ""), ("{", "")],
)
def test_a_bids_sidecar_tells_the_modality(tmp_path, sidecar, modality):
    text = sidecar if isinstance(sidecar, str) else json.dumps(sidecar)
    (tmp_path / "scan.json").write_text(text)
    volume = open_volume(write_nifti_file(tmp_path / "scan.nii.gz", CUBE))
    assert volume.modality == modality


def test_names_lose_folder_and_suffix(tmp_path):
    assert open_volume(write_nifti_file(tmp_path / "case.1.nii.gz", CUBE)).name == "case.1"


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["example_ct", "example_ct_sm", "example_mr_sm"])
def test_real_scans_and_their_masks_round_trip(shared_data, tmp_path, name):
    folder = shared_data / "train" / "totalseg_ct_mr_3d"
    volume = open_volume(folder / "images" / f"{name}.nii.gz")
    labels = open_labels(folder / "masks" / f"{name}.nii.gz", volume)
    out = write_labels(tmp_path / "labels.nii.gz", labels, volume.geometry)
    image, written = nib.load(folder / "images" / f"{name}.nii.gz"), nib.load(out)
    assert np.array_equal(written.affine, image.affine)
    assert np.array_equal(
        np.asarray(written.dataobj), np.asarray(nib.load(folder / "masks" / f"{name}.nii.gz").dataobj)
    )
    expected = "automatic" if "mr" in name else "abdomen"
    assert automatic_window(volume).name == expected
