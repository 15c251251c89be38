"""Labelled slices that wait for the next case."""

import stat

import numpy as np
import pytest

from napari_medfm.adaptation import SupportShelf, read_slice
from napari_medfm.errors import AdapterError

PICTURE = np.full((4, 6, 3), 7, np.uint8)


def test_a_slice_comes_back_as_it_was(support, tmp_path):
    shelf, kept = SupportShelf(tmp_path / "adapters"), support.slices[0]
    path = shelf.keep("disc", "image one", kept, PICTURE)
    read = read_slice(path)
    assert read.digest == kept.digest
    np.testing.assert_array_equal(read.labels, kept.labels)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_slices_of_this_image_and_of_other_encoders_are_not_offered(support, tmp_path):
    shelf, encoder = SupportShelf(tmp_path), support.encoder_digest
    for number, each in enumerate(support.slices):
        shelf.keep("disc", f"image {number}", each, PICTURE)
    found = shelf.list("disc", encoder, "image 1")
    assert {each.title for each in found} == {"earlier image, slice 1", "earlier image, slice 3"}
    np.testing.assert_array_equal(found[0].picture, PICTURE)
    assert shelf.list("disc", "another encoder") == ()
    assert shelf.list("ring", encoder) == ()


def test_structures_whose_folders_have_one_name_are_not_mixed_up(support, tmp_path):
    shelf, encoder = SupportShelf(tmp_path), support.encoder_digest
    for structure in ("\N{GREEK SMALL LETTER ALPHA}", "\N{GREEK SMALL LETTER BETA}"):
        shelf.keep(structure, "image", support.slices[0], PICTURE)
        assert len(shelf.list(structure, encoder)) == 1
    assert shelf.list("structure", encoder) == ()


def test_a_slice_that_is_labelled_anew_replaces_what_was_kept(support, tmp_path):
    shelf = SupportShelf(tmp_path)
    paths = {shelf.keep("disc", "image", support.slices[0], PICTURE) for _ in range(2)}
    assert len(paths) == 1
    assert len(shelf.list("disc", support.encoder_digest)) == 1


def test_a_damaged_slice_is_left_out_and_refused(support, tmp_path):
    shelf = SupportShelf(tmp_path)
    path = shelf.keep("disc", "image", support.slices[0], PICTURE)
    path.write_bytes(b"something else")
    assert shelf.list("disc", support.encoder_digest) == ()
    with pytest.raises(AdapterError, match="Leave it out"):
        read_slice(path)
