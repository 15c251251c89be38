import gzip

import numpy as np
import pytest

from napari_medfm.errors import CancelledError
from napari_medfm.volume import Volume, array_geometry, fingerprint, open_volume

from .nifti_files import RAS_AFFINE, nifti_bytes, numbered, write_nifti_file

ARRAY = numbered((6, 5, 4))


def volume(array, ndim=3):
    return Volume(array, array_geometry(array.shape[:ndim]))


def test_the_same_voxels_have_the_same_fingerprint_whatever_their_layout():
    expected = fingerprint(volume(ARRAY))
    assert fingerprint(volume(ARRAY.copy(order="F"))) == expected
    assert fingerprint(volume(ARRAY[::-1].copy()[::-1])) == expected
    assert fingerprint(volume(ARRAY.astype(">i2"))) == expected


@pytest.mark.parametrize(
    "other", [ARRAY + 1, ARRAY.astype(np.int32), ARRAY.reshape(5, 6, 4), ARRAY[:, ::-1], ARRAY.astype(np.uint16)]
)
def test_other_voxels_type_or_shape_have_another(other):
    assert fingerprint(volume(other)) != fingerprint(volume(ARRAY))


def test_a_grey_volume_and_a_colour_picture_of_the_same_bytes_differ():
    array = np.zeros((5, 4, 3), np.uint8)
    assert fingerprint(volume(array, 3)) != fingerprint(volume(array, 2))


def test_it_is_stable_between_releases():
    digest = "006caab02c346f996e95f52945939d29"
    assert fingerprint(volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4)))[:32] == digest


def test_the_file_name_and_its_compression_do_not_count(tmp_path):
    plain = write_nifti_file(tmp_path / "a.nii", ARRAY)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(nifti_bytes(ARRAY, RAS_AFFINE, endian=">")))
    assert fingerprint(open_volume(plain)) == fingerprint(open_volume(tmp_path / "b.nii.gz"))


def test_a_volume_on_disk_has_the_fingerprint_of_the_one_in_memory(tmp_path):
    path = write_nifti_file(tmp_path / "a.nii", numbered((40, 50, 60)))
    assert fingerprint(open_volume(path, limit=1000)) == fingerprint(open_volume(path))


def test_progress_counts_bytes_to_the_end_and_may_stop_the_work():
    big = volume(np.zeros((10, 1000, 1000), np.uint8))
    seen = []
    fingerprint(big, progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 1
    assert seen[-1] == (10_000_000, 10_000_000)
    assert seen == sorted(seen)

    def stop(done, total):
        raise CancelledError("fingerprint", "was stopped", "Start it again.")

    with pytest.raises(CancelledError):
        fingerprint(big, progress=stop)
