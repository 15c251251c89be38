"""What was packed comes back: images, objects and superpixels in place, and files that are no pack refused."""

import numpy as np
import pytest
import torch

from napari_medfm.errors import PretrainingError
from napari_medfm.pretraining import Bank
from napari_medfm.pretraining.bank import renumber
from napari_medfm.pretraining.pack import Picture, write_pack

from .drawings import SIDE, draw_all


def test_images_and_objects_come_back_in_place(bank):
    pictures = draw_all()
    for at, drawn in enumerate(pictures):
        image = drawn.image if drawn.image.ndim == 3 else drawn.image[..., None]
        stored = bank.pictures[at].permute(1, 2, 0).numpy().astype(int)
        assert np.abs(stored - image).mean() < 8  # JPEG
        assert np.array_equal(bank.layers[at, 0].numpy(), drawn.objects)
        assert bank.sizes[at].tolist() == [SIDE, SIDE]
    assert bank.grey.tolist() == [drawn.image.ndim == 2 for drawn in pictures]


def test_an_object_is_listed_with_its_number_box_and_size(bank):
    for at, layers in enumerate(bank.objects):
        for layer, listed in enumerate(layers):
            for number, top, left, bottom, right, pixels in listed:
                rows, columns = torch.nonzero(bank.layers[at, layer] == number, as_tuple=True)
                assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (top, left, bottom, right)
                assert len(rows) == pixels


def test_superpixels_cover_the_image_and_only_it(tmp_path):
    marked = np.zeros((50, 80), np.uint8)
    marked[10:30, 10:40] = 1
    image = np.random.default_rng(0).integers(0, 255, (50, 80), np.uint8)
    write_pack(tmp_path / "p.npz", [Picture("a", image, marked), Picture("a", image[:, :40], marked[:, :40])])
    found = Bank.open(tmp_path / "p.npz")
    assert found.side == 80
    assert (found.layers[1, 1:, :50, :40] > 0).all()
    assert not found.layers[1, :, :, 40:].any()
    assert not found.pictures[1, :, 50:].any()


def test_groups_are_the_data_sets(bank):
    assert [len(group) for group in bank.groups] == [2, 12]  # few_in_colour, many
    assert [(source.name, source.images) for source in bank.sources] == [("few_in_colour", 2), ("many", 12)]


def test_objects_that_are_tiny_or_nearly_everything_are_not_asked_for(tmp_path):
    marked = np.ones((40, 60), np.uint8)
    marked[2:6, 2:6] = 2
    marked[20:30, 20:30] = 3
    write_pack(tmp_path / "p.npz", [Picture("a", np.zeros((40, 60), np.uint8), marked)])
    assert Bank.open(tmp_path / "p.npz").objects[0][0][:, 0].tolist() == [3]


def test_the_digest_is_that_of_the_images_and_masks(pack, bank, tmp_path):
    assert Bank.open(pack).digest == bank.digest
    changed = draw_all()
    changed[-1].objects[:3, :3] = 1
    write_pack(tmp_path / "p.npz", changed)
    other = Bank.open(tmp_path / "p.npz")
    same = [ours.sha256 == theirs.sha256 for ours, theirs in zip(bank.sources, other.sources, strict=True)]
    assert same == [False, True]
    assert other.digest != bank.digest


@pytest.mark.parametrize("damage", ["cut", "text", "missing", "of something else"])
def test_what_is_no_whole_pack_is_refused(damage, pack, tmp_path):
    path = tmp_path / "pack.npz"
    content = {"cut": pack.read_bytes()[:-4000], "text": b"hello"}
    if damage == "of something else":
        np.savez(path, weights=np.zeros(3))
    elif damage != "missing":
        path.write_bytes(content[damage])
    with pytest.raises(PretrainingError, match=r"^pack\.npz: "):
        Bank.open(path)


def test_a_pack_without_an_object_to_ask_for_is_refused(tmp_path):
    marked = np.zeros((40, 60), np.uint8)
    marked[2:4, 2:4] = 1
    write_pack(tmp_path / "p.npz", [Picture("a", np.zeros((40, 60), np.uint8), marked)])
    with pytest.raises(PretrainingError, match="no image with an object"):
        Bank.open(tmp_path / "p.npz")


def test_objects_are_renumbered_without_gaps_and_nothing_stays_nothing():
    assert renumber(np.array([[0, 40000], [7, 40000]])).tolist() == [[0, 2], [1, 2]]
    assert renumber(np.array([[9, 9], [3, 9]])).tolist() == [[2, 2], [1, 2]]
