"""Packing takes what experts marked, as a model sees it, and never an image that models are measured on."""

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_medfm.errors import MedfmError, PretrainingError
from napari_medfm.pretraining import LEFT_OUT, Bank
from napari_medfm.pretraining.pack import SIDE, Picture, phantom_pictures, read_pictures, write_pack
from napari_medfm.volume import write_labels, write_volume

THE_EIGHT = (
    "msd_spleen_ct",
    "npc_t2_mr",
    "liver_us",
    "idrid_optic_disc_fundus",
    "glomeruli_histology",
    "faz_octa",
    "totalseg_ct_mr_3d",
    "niivue_brain_mr_3d",
)
SQUARE = np.zeros((40, 60), np.uint8)
SQUARE[10:30, 20:45] = 7


def image_of(marked, channels=None):
    grey = np.where(marked > 0, 200, 30).astype(np.uint8)
    return grey if channels is None else np.stack([grey, 255 - grey, grey], -1)


@pytest.fixture
def manifest(tmp_path):
    """Write a manifest of images and masks that are saved already."""

    def write(*rows):
        path = tmp_path / "manifest.csv"
        with path.open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(("dataset", "image", "mask", "modality", "targets"))
            table.writerows((dataset, image, mask, "", targets) for dataset, image, mask, targets in rows)
        return path

    return write


def save(folder, name, array):
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(array).save(folder / name)
    return name


def picture(dataset="mine", shape=(40, 60)):
    marked = np.zeros(shape, np.uint16)
    marked[10:30, 20:45] = 3
    return Picture(dataset, image_of(marked), marked)


def test_the_eight_data_sets_that_are_measured_on_are_left_out():
    assert frozenset(THE_EIGHT) == LEFT_OUT


@pytest.mark.parametrize("name", THE_EIGHT)
def test_an_image_of_a_data_set_that_is_left_out_is_not_even_opened(name, manifest, tmp_path):
    rows = [("mine", save(tmp_path, "a.png", image_of(SQUARE)), save(tmp_path, "a_mask.png", SQUARE), "labels")]
    rows += [(name, "missing.png", "missing_mask.png", "labels")]
    assert [found.dataset for found in read_pictures(manifest(*rows))] == ["mine"]


@pytest.mark.parametrize("name", THE_EIGHT)
def test_another_name_does_not_help_an_image_in_the_folder_of_a_left_out_data_set(name, manifest, tmp_path):
    hidden = save(tmp_path, f"{name}/images/b.png", image_of(SQUARE))
    rows = [("harmless", hidden, save(tmp_path, "b_mask.png", SQUARE), "labels")]
    assert list(read_pictures(manifest(*rows))) == []


@pytest.mark.parametrize("name", THE_EIGHT)
def test_a_pack_with_a_left_out_data_set_is_neither_written_nor_read(name, tmp_path):
    with pytest.raises(PretrainingError, match=name):
        write_pack(tmp_path / "pack.npz", [picture(), picture(name)])
    assert list(tmp_path.iterdir()) == []
    write_pack(tmp_path / "pack.npz", [picture()])
    with np.load(tmp_path / "pack.npz") as arrays:
        content = dict(arrays)
    np.savez(tmp_path / "pack.npz", **content | {"names": np.array([name])})
    with pytest.raises(PretrainingError, match=name):
        Bank.open(tmp_path / "pack.npz")


def test_objects_are_labels_or_connected_components_as_the_manifest_says(manifest, tmp_path):
    marked = SQUARE.copy()
    marked[2:6, 2:6] = 7
    image, mask = save(tmp_path, "a.png", image_of(marked)), save(tmp_path, "m.png", marked)
    found = list(read_pictures(manifest(("one", image, mask, "labels"), ("two", image, mask, "components"))))
    assert [np.unique(each.objects).tolist() for each in found] == [[0, 7], [0, 1, 2]]
    assert np.array_equal(found[0].image, image_of(marked))


def test_components_of_different_labels_are_two_things_even_where_they_touch(manifest, tmp_path):
    marked = SQUARE.copy()
    marked[15:25, 25:35] = 8
    image, mask = save(tmp_path, "a.png", image_of(marked)), save(tmp_path, "m.png", marked)
    (found,) = read_pictures(manifest(("one", image, mask, "components")))
    assert sorted(np.unique(found.objects, return_counts=True)[1].tolist()) == [100, 400, 1900]


def test_of_a_volume_the_plane_across_each_axis_with_most_marked_is_taken(
    manifest, tmp_path, small_volume, small_labels
):
    write_volume(tmp_path / "v.nii.gz", small_volume)
    write_labels(tmp_path / "l.nii.gz", small_labels, small_volume.geometry)
    found = list(read_pictures(manifest(("volume", "v.nii.gz", "l.nii.gz", "labels"))))
    marked = small_labels > 0
    most = [
        np.take(small_labels, marked.sum(axis=others).argmax(), axis)
        for axis, others in enumerate(((1, 2), (0, 2), (0, 1)))
    ]
    assert all(np.array_equal(each.objects, plane) for each, plane in zip(found, most, strict=True))
    assert all(each.image.dtype == np.uint8 and each.image.shape == each.objects.shape for each in found)


def test_of_a_stack_of_pictures_some_pages_are_taken_with_their_masks(manifest, tmp_path):
    marked = np.zeros((20, 40, 60), np.uint16)
    for page in range(20):
        marked[page, 5 : 10 + page, 5:50] = page + 1
    tifffile.imwrite(tmp_path / "s.tif", (marked > 0).astype(np.uint16) * 900 + 40, photometric="minisblack")
    tifffile.imwrite(tmp_path / "m.tif", marked, photometric="minisblack")
    found = list(read_pictures(manifest(("stack", "s.tif", "m.tif", "labels"))))
    assert [int(each.objects.max()) for each in found] == [2, 4, 7, 9, 12, 14, 17, 19]
    assert all(np.array_equal(each.image > 128, each.objects > 0) for each in found)


def test_a_stack_whose_mask_has_another_number_of_pages_is_refused(manifest, tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((5, 40, 60), np.uint16), photometric="minisblack")
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((4, 40, 60), np.uint16), photometric="minisblack")
    with pytest.raises(MedfmError, match=r"m\.tif.*4 pages"):
        list(read_pictures(manifest(("stack", "s.tif", "m.tif", "labels"))))


def test_phantoms_are_two_data_sets_with_objects_on_every_plane():
    found = list(phantom_pictures())
    assert {each.dataset for each in found} == {"phantom_tomography", "phantom_ultrasound"}
    assert len(found) > 40
    assert all(each.objects.any() and each.image.shape == each.objects.shape for each in found)


def test_large_images_are_reduced_and_their_objects_with_them(tmp_path):
    marked = np.zeros((1200, 900), np.uint16)
    marked[300:600, 300:600] = 5
    assert write_pack(tmp_path / "pack.npz", [Picture("large", image_of(marked, 3), marked)]) == 1
    bank = Bank.open(tmp_path / "pack.npz")
    assert bank.side == SIDE
    assert bank.sizes.tolist() == [[448, 336]]
    assert bank.objects[0][0].tolist() == [[1, 112, 112, 224, 224, 112**2]]
    assert not bank.grey[0]


def test_colour_without_colour_is_stored_as_grey(tmp_path):
    grey = picture()
    write_pack(tmp_path / "pack.npz", [Picture("mine", np.repeat(grey.image[..., None], 3, -1), grey.objects)])
    assert Bank.open(tmp_path / "pack.npz").grey.tolist() == [True]


def test_images_without_objects_are_not_packed_and_nothing_is_no_pack(tmp_path):
    empty = Picture("mine", picture().image, np.zeros((40, 60), np.uint8))
    assert write_pack(tmp_path / "pack.npz", [picture(), empty]) == 1
    with pytest.raises(PretrainingError, match="no image"):
        write_pack(tmp_path / "other.npz", [empty])


@pytest.mark.shared_data
def test_a_real_manifest_gives_images_of_all_kinds_of_files(shared_data, manifest, tmp_path):
    wanted = {"dsb2018_nuclei": 1, "msd_hippocampus_mr_3d": 1, "stardist_nuclei": 2, "isic2017_skin_dermoscopy": 1}
    rows = []
    with (shared_data / "manifest.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            if wanted.get(row["dataset"], 0):
                wanted[row["dataset"]] -= 1
                rows.append((row["dataset"], shared_data / row["image"], shared_data / row["mask"], row["targets"]))
    found = list(read_pictures(manifest(*rows)))
    assert len(found) == 1 + 3 + 1 + 8 + 1
    assert all(each.objects.any() and each.image.shape[:2] == each.objects.shape for each in found)
