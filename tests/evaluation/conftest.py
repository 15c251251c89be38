"""Small data sets on disk, as people keep theirs."""

import pytest

from napari_medfm.volume import write_labels, write_volume

from .datasets import photograph, write_manifest


@pytest.fixture(scope="session")
def make_manifest(small_volume, small_labels):
    """Return a function that writes, into a folder, two photographs, a picture of components, and a CT volume."""

    def make(folder):
        folder = folder / "data of Mrs Smith"
        folder.mkdir()
        pair = (((24, 20), 9), ((24, 46), 7))
        write_volume(folder / "ct.nii.gz", small_volume)
        write_labels(folder / "ct_labels.nii.gz", small_labels, small_volume.geometry)
        rows = [
            ("discs", *photograph(folder, "one", pair, (1, 2)), "photograph", "labels"),
            ("discs", *photograph(folder, "<two> & co", pair[:1], (1,)), "photograph", "labels"),
            ("cells", *photograph(folder, "cells", pair, (1, 1)), "microscopy", "components"),
            ("ct", "ct.nii.gz", "ct_labels.nii.gz", "CT", "labels"),
        ]
        return write_manifest(folder / "manifest.csv", rows)

    return make


@pytest.fixture
def manifest(make_manifest, tmp_path):
    """Return a manifest whose files may be changed."""
    return make_manifest(tmp_path)
