"""The fault list, F01 to F33: odd and broken files, one test each, named by its case."""

import gzip
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from napari_medfm.errors import (
    ChoiceRequiredError,
    GeometryError,
    TooLargeError,
    UnreadableFileError,
    UnsupportedDataError,
    VolumeError,
)
from napari_medfm.volume import PRESETS, Plane, automatic_window, open_labels, open_volume, write_labels

from .nifti_files import RAS_AFFINE, nifti_bytes, nifti_header, numbered, qform_fields, write_nifti_file

CUBE = numbered((4, 5, 6))


@pytest.fixture
def opened(tmp_path):
    """Return a function that writes a file and opens it."""

    def write_and_open(array, affine=RAS_AFFINE, *, name="scan.nii.gz", choice=None, limit=None, **options):
        path = write_nifti_file(tmp_path / name, array, affine, **options)
        return open_volume(path, choice=choice, limit=limit)

    return write_and_open


@pytest.fixture
def refused(tmp_path):
    """Return a function that writes bytes, asserts the refusal and its wording, and returns the error."""

    def write_and_refuse(kind, words, content, *, name="scan.nii.gz", limit=None):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(VolumeError) as caught:
            open_volume(path, limit=limit)
        error = caught.value
        assert type(error) is kind
        assert error.subject == name
        assert words in error.reason
        assert error.next_step.endswith(".")
        assert str(tmp_path) not in str(error)
        return error

    return write_and_refuse


def says(volume, words):
    return any(words in note for note in volume.geometry.notes)


def test_f01_one_nan_is_counted_and_left_out_of_the_window(opened):
    array = CUBE.astype(np.float32)
    clean = automatic_window(opened(array))
    array[1, 2, 3] = np.nan
    volume = opened(array)
    assert says(volume, "1 of 120 voxels are not a number")
    window = automatic_window(volume)
    assert abs(window.low - clean.low) <= 1
    assert abs(window.high - clean.high) <= 1
    shown = window.to_uint8(volume.array)
    assert shown[np.isnan(volume.array)].tolist() == [0]


def test_f01_a_border_of_nan_leaves_the_window_of_the_inside(opened):
    array = np.full((10, 10, 10), np.nan, np.float32)
    array[2:8, 2:8, 2:8] = np.arange(216).reshape(6, 6, 6)
    window = automatic_window(opened(array))
    assert 0 <= window.low < 5
    assert 210 < window.high <= 215


def test_f01_nothing_but_nan_opens_with_a_note_and_a_black_image(opened):
    volume = opened(np.full((4, 5, 6), np.nan, np.float32))
    assert says(volume, "120 of 120")
    assert not automatic_window(volume).to_uint8(volume.array).any()


def test_f02_infinite_voxels_do_not_change_the_window(opened):
    array = CUBE.astype(np.float32)
    array[0, 0, 0], array[3, 4, 5] = -np.inf, np.inf
    volume = opened(array)
    assert says(volume, "2 of 120")
    window = automatic_window(volume)
    assert window.low >= 1
    assert window.high <= 118
    shown = window.to_uint8(volume.array)
    assert shown[volume.array == np.inf].tolist() == [255]
    assert shown[volume.array == -np.inf].tolist() == [0]


@pytest.mark.parametrize("value", [0, -7, 32767])
def test_f03_a_constant_image_is_told_and_shown_without_dividing_by_zero(opened, value):
    volume = opened(np.full((4, 5, 6), value, np.int16))
    assert says(volume, f"Every voxel has the same value, {value}")
    window = automatic_window(volume)
    assert window.low < value < window.high
    assert np.unique(window.to_uint8(volume.array)).size == 1


def test_f04_float64_of_extreme_range_keeps_its_order(opened):
    array = 1e308 * np.linspace(-1, 1, 120).reshape(4, 5, 6)
    volume = opened(array)
    assert np.isfinite(volume.array).all()
    shown = automatic_window(volume).to_uint8(volume.array)
    by_value = shown.ravel()[volume.array.ravel().argsort()].astype(int)
    assert (np.diff(by_value) >= 0).all()
    assert by_value[0] == 0
    assert by_value[-1] == 255
    assert 120 < by_value[60] < 136


def test_f04_a_scale_that_would_overflow_float32_gives_float64(opened):
    volume = opened(CUBE.astype(np.float32), scl_slope=3e38)
    assert volume.array.dtype == np.float64
    assert volume.array.max() == pytest.approx(119 * float(np.float32(3e38)))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float64])
def test_f05_every_whole_and_floating_type_is_read_exactly(opened, dtype):
    volume = opened(CUBE.astype(dtype))
    assert volume.array.dtype == dtype
    assert np.array_equal(volume.array, CUBE.T[:, ::-1, ::-1])


def test_f05_extended_precision_is_refused_by_name(refused):
    header = nifti_header(CUBE, datatype=1536, bitpix=128)
    refused(UnsupportedDataError, "float128", gzip.compress(nifti_bytes(CUBE, header=header)))


@pytest.mark.parametrize("version", [1, 2])
def test_f06_big_endian_files_give_native_values(opened, version):
    volume = opened(CUBE, endian=">", version=version)
    assert volume.array.dtype.isnative
    assert np.array_equal(volume.array, opened(CUBE).array)
    assert np.array_equal(volume.geometry.affine, opened(CUBE).geometry.affine)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_f07_complex_values_are_refused_not_cast(refused, dtype):
    refused(UnsupportedDataError, "complex", gzip.compress(nifti_bytes(CUBE.astype(dtype))))


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
def test_f08_rgb_becomes_a_trailing_axis(opened, channels):
    array = np.zeros((4, 5, 6), [(channel, "u1") for channel in channels])
    for offset, channel in enumerate(channels):
        array[channel] = CUBE + offset
    volume = opened(array)
    assert volume.is_rgb
    assert volume.shape == (6, 5, 4)
    assert volume.array.shape == (6, 5, 4, 3)
    assert np.array_equal(volume.array[..., 2], (CUBE + 2).T[:, ::-1, ::-1])
    assert says(volume, "transparency") == (channels == "RGBA")


def test_f09_an_empty_axis_is_refused(refused):
    refused(UnsupportedDataError, "empty axis (0, 8, 8)", gzip.compress(nifti_bytes(np.zeros((0, 8, 8), np.int16))))


@pytest.mark.parametrize("shape", [(4, 5, 6, 1), (4, 5, 6, 1, 1), (4, 5, 1, 1), (1, 5, 6), (4, 5), (1, 1, 1, 5, 4)])
def test_f10_singleton_axes_are_squeezed_and_written_back(tmp_path, opened, shape):
    array = numbered(shape)
    volume = opened(array)
    assert volume.array.ndim == sum(size > 1 for size in shape)
    out = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    written = nib.load(out)
    assert written.shape == nib.load(tmp_path / "scan.nii.gz").shape
    assert np.array_equal(np.asarray(written.dataobj), array)


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 5, 1, 3), (4, 5, 6, 1, 3), (4, 5, 6, 3, 1)])
def test_f11_several_volumes_are_asked_for(opened, shape):
    array = numbered(shape)
    with pytest.raises(ChoiceRequiredError) as caught:
        opened(array)
    assert caught.value.choices == ("image 1 of 3", "image 2 of 3", "image 3 of 3")
    volume = opened(array, choice=1)
    second = np.moveaxis(array, shape.index(3), 0)[1].reshape(shape[:3])
    assert np.array_equal(volume.array, second.T[:, ::-1, ::-1].squeeze())
    assert says(volume, "image 2 of 3")


@pytest.mark.parametrize("choice", [-1, 3])
def test_f11_a_choice_that_does_not_exist_asks_again(opened, choice):
    with pytest.raises(ChoiceRequiredError, match=f"no number {choice}"):
        opened(numbered((4, 5, 6, 3)), choice=choice)


def test_f12_one_slice_is_two_dimensional(opened):
    volume = opened(numbered((4, 5, 1)))
    assert volume.ndim == 2
    assert volume.shape == (5, 4)
    assert volume.spacing == pytest.approx((0.9, 0.8))
    assert volume.geometry.planes() == [Plane(0, 0)]


def test_f12_two_slices_stay_a_volume(opened):
    volume = opened(numbered((4, 5, 2)))
    assert volume.shape == (2, 5, 4)
    assert volume.plane(Plane(0, 1)).shape == (5, 4)


def test_f13_anisotropic_spacing_is_in_mm_along_canonical_axes(opened):
    volume = opened(CUBE, np.diag([0.3, 0.3, 10, 1]).astype(np.float32))
    assert volume.spacing == pytest.approx((10, 0.3, 0.3))
    assert volume.geometry.plane_spacing(Plane(1, 0)) == pytest.approx((10, 0.3))


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_f14_ct_padding_is_left_out_of_the_window(opened, padding):
    rng = np.random.default_rng(0)
    array = rng.normal(50, 20, (30, 30, 30)).astype(np.int16)
    array[:10] = -1000
    array[20:] = padding
    assert automatic_window(opened(array)) == PRESETS["abdomen"]


def test_f14_a_preset_beside_the_data_shows_one_grey(opened):
    volume = opened(CUBE)
    assert (PRESETS["lung"].to_uint8(volume.array - 2000) == 0).all()
    assert (PRESETS["lung"].to_uint8(volume.array + 2000) == 255).all()


def test_f15_more_than_the_memory_is_refused_for_a_compressed_file(opened):
    with pytest.raises(TooLargeError, match=r"needs 0\.5 MB of memory and 0\.1 MB may be used.*\.nii"):
        opened(numbered((64, 64, 32)), limit=100_000)


def test_f15_more_than_the_memory_is_read_from_disk_for_a_plain_file(opened):
    array = numbered((64, 64, 32), np.int32)
    volume = opened(array, name="scan.nii", limit=1000)
    assert isinstance(volume.array, np.memmap)
    assert says(volume, "read from the disk")
    assert np.array_equal(volume.array, opened(array).array)


def test_f16_a_file_cut_anywhere_is_refused(tmp_path, refused):
    content = gzip.compress(nifti_bytes(np.random.default_rng(0).integers(0, 99, (16, 16, 16)).astype(np.int16)), 1)
    for end in np.linspace(1, len(content) - 1, 200).astype(int):
        refused(UnreadableFileError, "", content[:end])
    refused(UnreadableFileError, "cut short", content[:-4])


@pytest.mark.parametrize("end", [100, 352, 400, -1])
def test_f16_a_plain_file_cut_anywhere_is_refused(refused, end):
    refused(UnreadableFileError, "", nifti_bytes(CUBE)[:end], name="scan.nii")


def test_f17_of_200_flipped_bits_none_gives_other_voxels(tmp_path):
    rng = np.random.default_rng(1)
    content = gzip.compress(nifti_bytes(rng.integers(0, 99, (16, 16, 16)).astype(np.int16)), 1)
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    clean = open_volume(path)
    refusals = 0
    for position in rng.integers(0, len(content) * 8, 200):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        try:
            volume = open_volume(path)
        except UnreadableFileError:
            refusals += 1
            continue
        # A back-reference may point to another copy of the same bytes: nothing is damaged then.
        assert np.array_equal(volume.array, clean.array)
        assert np.array_equal(volume.geometry.affine, clean.geometry.affine)
    assert refusals >= 195


def test_f18_a_gzip_bomb_is_refused_before_its_memory_is_taken(tmp_path):
    shape = (400, 400, 200)
    header = nifti_header(np.zeros((1, 1, 1)), dim=[3, *shape, 1, 1, 1, 1], datatype=64, bitpix=64)
    path = tmp_path / "bomb.nii.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(header.binaryblock + bytes(4))
        for _ in range(200):
            stream.write(bytes(400 * 400 * 8))
    assert path.stat().st_size < 2_000_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            open_volume(path, limit=50_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_f18_a_stream_longer_than_its_header_says_is_refused(refused):
    content = gzip.compress(nifti_bytes(CUBE) + bytes(1 << 25))
    refused(UnreadableFileError, "much more than its header declares", content)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_f19_impossible_sizes_are_refused_before_allocating(refused, name):
    content = nifti_bytes(CUBE, dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])
    content = gzip.compress(content) if name.endswith("gz") else content
    refused(UnreadableFileError, "cut short: 70362301923678 bytes are declared", content, name=name)


@pytest.mark.parametrize(
    ("dim", "words"),
    [
        ([3, -4, 5, 6, 1, 1, 1, 1], "negative size"),
        ([0, 4, 5, 6, 1, 1, 1, 1], "declares 0 axes"),
        ([8, 4, 5, 6, 1, 1, 1, 1], "declares 8 axes"),
        ([-1, 4, 5, 6, 1, 1, 1, 1], "declares -1 axes"),
    ],
)
def test_f20_impossible_axes_are_refused(refused, dim, words):
    refused(UnreadableFileError, words, gzip.compress(nifti_bytes(CUBE, dim=dim)))


@pytest.mark.parametrize("size", [0, -0.8, np.nan, np.inf])
def test_f21_a_voxel_size_that_is_not_positive_is_told(opened, size):
    pixdim = [1, size, 0.9, 2.5, 0, 0, 0, 0]
    volume = opened(CUBE, pixdim=pixdim)
    assert says(volume, "not positive")
    assert volume.spacing == pytest.approx((2.5, 0.9, 0.8)), "the sform has the size"
    bare = opened(CUBE, pixdim=pixdim, sform_code=0)
    assert not bare.geometry.known
    assert bare.spacing == pytest.approx((2.5, 0.9, 0.8 if size == -0.8 else 1))


@pytest.mark.parametrize(
    ("slope", "intercept"), [(0, 5), (np.nan, 0), (np.inf, 0), (-np.inf, 0), (1, np.nan), (2, np.inf)]
)
def test_f22_an_unusable_scale_is_left_out_and_told(opened, slope, intercept):
    volume = opened(CUBE, scl_slope=slope, scl_inter=intercept)
    assert np.array_equal(volume.array, opened(CUBE).array)
    assert says(volume, "cannot be used: stored values are shown unscaled")


@pytest.mark.parametrize(
    ("stored", "slope", "intercept", "kind"),
    [
        (np.uint16, 1, -1024, np.int16),
        (np.int16, 2, 5, np.int16),
        (np.int16, 1000, 0, np.int32),
        (np.uint8, -1, 0, np.int16),
        (np.int16, 0.5, 0.25, np.float32),
        (np.int32, 0.1, 0, np.float64),
        (np.float32, 2, 1, np.float32),
    ],
)
def test_f23_scale_and_offset_are_applied_once(opened, stored, slope, intercept, kind):
    volume = opened(CUBE.astype(stored), scl_slope=slope, scl_inter=intercept)
    expected = CUBE.T[:, ::-1, ::-1] * float(np.float32(slope)) + intercept
    assert volume.array.dtype == kind
    assert np.allclose(volume.array, expected, rtol=1e-6)


UNUSABLE_SFORMS = {
    "f24_zero": np.zeros((4, 4), np.float32),
    "f24_flat": np.diag([1, 1, 0, 1]).astype(np.float32),
    "f25_nan": np.full((4, 4), np.nan, np.float32),
    "f25_infinite": np.diag([1, np.inf, 1, 1]).astype(np.float32),
}


@pytest.mark.parametrize("sform", UNUSABLE_SFORMS.values(), ids=UNUSABLE_SFORMS)
def test_an_unusable_sform_gives_way_to_the_qform(opened, sform):
    fields = {"srow_x": sform[0], "srow_y": sform[1], "srow_z": sform[2]}
    volume = opened(CUBE, **qform_fields(RAS_AFFINE), **fields)
    assert volume.geometry.known
    assert says(volume, "sform is zero, not a number or flat")
    assert np.allclose(volume.geometry.affine, opened(CUBE).geometry.affine, atol=1e-4)


@pytest.mark.parametrize("sform", UNUSABLE_SFORMS.values(), ids=UNUSABLE_SFORMS)
def test_an_unusable_sform_alone_leaves_the_position_unknown(tmp_path, opened, sform):
    fields = {"srow_x": sform[0], "srow_y": sform[1], "srow_z": sform[2], "pixdim": [1, 0.8, 0.9, 2.5, 0, 0, 0, 0]}
    volume = opened(CUBE, **fields)
    assert not volume.geometry.known
    assert volume.spacing == pytest.approx((2.5, 0.9, 0.8))
    out = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    assert np.array_equal(open_labels(out, volume), volume.array)


@pytest.mark.parametrize("quaternion", [(0.9, 0.9, 0.9), (np.nan, 0, 0)])
def test_f26_an_impossible_quaternion_is_told_not_used(tmp_path, opened, quaternion):
    fields = dict(zip(("quatern_b", "quatern_c", "quatern_d"), quaternion, strict=True), qform_code=1)
    volume = opened(CUBE, **fields)
    assert volume.geometry.known
    assert says(volume, "qform has an impossible rotation")
    assert np.array_equal(volume.geometry.affine, opened(CUBE).geometry.affine)
    alone = opened(CUBE, **fields, sform_code=0)
    assert not alone.geometry.known
    out = write_labels(tmp_path / "labels.nii.gz", alone.array, alone.geometry)
    assert np.isfinite(nib.load(out).affine).all(), "other programs can open what is written"


def test_f27_without_both_codes_the_orientation_is_unknown_and_as_nibabel_has_it(tmp_path, opened):
    volume = opened(CUBE, sform_code=0, qform_code=0)
    assert not volume.geometry.known
    assert says(volume, "does not say where it lies")
    assert np.allclose(volume.geometry.source.affine, nib.load(tmp_path / "scan.nii.gz").affine)
    out = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    written = nib.load(out).header
    assert (int(written["qform_code"]), int(written["sform_code"])) == (0, 0)
    assert np.array_equal(open_labels(out, volume), volume.array)


def test_f28_qform_and_sform_that_differ_are_told_and_the_sform_is_used(opened):
    mirrored = RAS_AFFINE @ np.diag([-1, 1, 1, 1]).astype(np.float32)
    volume = opened(CUBE, **qform_fields(mirrored))
    assert says(volume, "The sform and qform differ by up to 6.0 voxels: the sform was used")
    assert np.array_equal(volume.geometry.affine, opened(CUBE).geometry.affine)


def test_f28_a_quaternion_rounded_to_single_precision_is_no_difference(opened):
    volume = opened(CUBE, **qform_fields(RAS_AFFINE))
    assert volume.geometry.notes == ()


def test_f29_a_sheared_grid_is_shown_told_and_written_back(tmp_path, opened):
    sheared = RAS_AFFINE.copy()
    sheared[0, 2] = 0.6
    volume = opened(CUBE, sheared)
    assert says(volume, "not perpendicular (76.5 degrees)")
    out = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    assert np.array_equal(nib.load(out).affine, nib.load(tmp_path / "scan.nii.gz").affine)


@pytest.mark.parametrize("degrees", [44.99, 45, 45.01])
def test_f30_a_grid_between_two_axes_round_trips(tmp_path, opened, degrees):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tilt = turn[[2, 0, 1]][:, [2, 0, 1]]
    affine = np.eye(4, dtype=np.float32)
    affine[:3, :3] = turn @ tilt * 1.5
    volume = opened(CUBE, affine)
    assert sorted(volume.geometry.source.axes) == [0, 1, 2]
    out = write_labels(tmp_path / "labels.nii.gz", volume.array, volume.geometry)
    assert np.array_equal(np.asarray(nib.load(out).dataobj), CUBE)
    assert np.array_equal(nib.load(out).affine, nib.load(tmp_path / "scan.nii.gz").affine)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scan.nii", gzip.compress(nifti_bytes(CUBE)), "gzip-compressed, but not named so"),
        ("scan.nii.gz", nifti_bytes(CUBE), "named .gz, but is not compressed"),
        ("scan.nii.gz", b"", "is empty"),
        ("scan.nii", b"", "is empty"),
        ("scan.nii.gz", b"<html>404</html>" * 50, "not a NIfTI file"),
        ("scan.nii", b"version https://git-lfs.github.com/spec/v1\n" * 20, "not a NIfTI file"),
        ("scan.nii.gz", gzip.compress(b"text " * 200, mtime=0), "not a NIfTI file"),
        ("scan.nii", nifti_bytes(CUBE, vox_offset=100), "inside its header"),
        ("scan.nii", nifti_bytes(CUBE, datatype=999), "unknown data type 999"),
    ],
)
def test_f31_files_that_are_not_what_their_name_says_are_named(refused, name, content, words):
    refused(UnreadableFileError, words, content, name=name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (nifti_bytes(CUBE, magic=b"ni1"), "half of a header/image pair"),
        (nifti_bytes(CUBE, magic=b"", regular=b"r"), "Analyze"),
        (nifti_bytes(CUBE, version=2, intent_code=3001), "CIFTI"),
        (nifti_bytes(CUBE, datatype=1), "single bits"),
    ],
)
def test_f31_relatives_of_nifti_are_refused_by_name(refused, content, words):
    refused(UnsupportedDataError, words, content, name="scan.nii")


def test_f31_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"scan\.nii: is not there"):
        open_volume(tmp_path / "scan.nii")


def test_f32_a_file_beside_its_uncompressed_namesake_gives_its_own_voxels(tmp_path):
    compressed = write_nifti_file(tmp_path / "scan.nii.gz", CUBE)
    plain = write_nifti_file(tmp_path / "scan.nii", CUBE + 1000)
    assert open_volume(compressed).array.max() == 119
    assert open_volume(plain).array.max() == 1119


def shifted(by):
    affine = RAS_AFFINE.copy()
    affine[0, 3] += by
    return affine


@pytest.mark.parametrize(
    ("shape", "affine", "words"),
    [
        ((4, 5, 7), RAS_AFFINE, "its grid is 4 x 5 x 7 voxels, the image's 4 x 5 x 6"),
        ((4, 5, 6), shifted(0.8), "up to 0.8 mm (1 voxels)"),
        ((4, 5, 6), shifted(0.002), "(0.0025 voxels)"),
        ((4, 5, 6), RAS_AFFINE @ np.diag([-1, 1, 1, 1]).astype(np.float32), "mm"),
    ],
)
def test_f33_labels_on_another_grid_are_refused_with_the_difference(tmp_path, opened, shape, affine, words):
    volume = opened(CUBE)
    path = write_nifti_file(tmp_path / "labels.nii.gz", numbered(shape), affine)
    with pytest.raises(GeometryError) as caught:
        open_labels(path, volume)
    assert words in str(caught.value)
    assert "Resample" in caught.value.next_step


def test_f33_labels_without_position_are_not_laid_over_an_image_that_has_one(tmp_path, opened):
    volume = opened(CUBE)
    path = write_nifti_file(tmp_path / "labels.nii.gz", CUBE, sform_code=0)
    with pytest.raises(GeometryError, match="only one of the two says where it lies"):
        open_labels(path, volume)


def test_f33_labels_stored_in_another_axis_order_are_laid_where_they_belong(tmp_path, opened):
    volume = opened(CUBE)
    turned = nib.Nifti1Image(CUBE, RAS_AFFINE).as_reoriented([[1, -1], [2, 1], [0, -1]])
    nib.save(turned, tmp_path / "labels.nii.gz")
    assert turned.shape != CUBE.shape
    assert np.array_equal(open_labels(tmp_path / "labels.nii.gz", volume), volume.array)


def test_f33_a_shift_below_a_thousandth_of_a_voxel_is_the_same_grid(tmp_path, opened):
    volume = opened(CUBE)
    path = write_nifti_file(tmp_path / "labels.nii.gz", CUBE, shifted(0.0005))
    assert np.array_equal(open_labels(path, volume), volume.array)
