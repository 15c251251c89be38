import psutil
import pytest

from napari_medfm.errors import TooLargeError
from napari_medfm.volume.limits import check_memory, memory_limit


def test_the_limit_is_below_the_free_memory():
    assert 0 < memory_limit() < psutil.virtual_memory().total


def test_what_fits_passes_and_what_does_not_is_told_in_numbers():
    check_memory("scan.nii.gz", 100, 100, "")
    with pytest.raises(TooLargeError) as caught:
        check_memory("scan.nii.gz", 3_000_000_000, 2_000_000, "Crop it.")
    assert str(caught.value) == "scan.nii.gz: needs 3.0 GB of memory and 2.0 MB may be used. Crop it."


def test_the_machine_is_asked_when_no_limit_is_given():
    with pytest.raises(TooLargeError):
        check_memory("scan.nii.gz", 10**18, None, "Crop it.")
