"""Labelled slices as values."""

import numpy as np
import pytest

from napari_medfm.adaptation import SupportSet, SupportSlice
from napari_medfm.errors import AdapterError
from napari_medfm.models import ImageEmbedding

from .discs import SHAPE, support_on


def embedding(value=0.0, encoder="e"):
    return ImageEmbedding({"features": np.full((2, 3, 3), value, np.float16)}, SHAPE, encoder)


def labels(*boxes):
    found = np.zeros(SHAPE, np.uint8)
    for value, box in enumerate(boxes, start=1):
        found[box] = value
    return found


ONE = labels(np.s_[4:9, 5:9])


def test_a_slice_keeps_its_objects_apart():
    each = SupportSlice.annotated(embedding(), labels(np.s_[2:5, 2:5], np.s_[20:30, 20:30]))
    assert [np.count_nonzero(mask) for mask in each.objects] == [9, 100]
    assert each.is_positive
    assert np.count_nonzero(each.mask) == 109


def test_what_is_ignored_is_no_object():
    ignore = np.zeros(SHAPE, bool)
    ignore[:, :7] = True
    each = SupportSlice.annotated(embedding(), ONE, ignore)
    assert not (each.mask & ignore).any()
    assert each.mask.any()


def test_the_digest_names_embedding_labels_and_what_is_ignored():
    ignore = np.ones(SHAPE, bool)
    ignore[:10, :10] = False
    digests = {
        SupportSlice.annotated(embedding(), ONE).digest,
        SupportSlice.annotated(embedding(1.0), ONE).digest,
        SupportSlice.annotated(embedding(encoder="f"), ONE).digest,
        SupportSlice.annotated(embedding(), labels(np.s_[4:9, 5:8])).digest,
        SupportSlice.annotated(embedding(), ONE, ignore).digest,
    }
    assert len(digests) == 5
    assert SupportSlice.annotated(embedding(), ONE, title="another").digest in digests


def test_labels_of_another_shape_are_refused():
    with pytest.raises(AdapterError, match="has labels of shape"):
        SupportSlice.annotated(embedding(), np.zeros((3, 3)))


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(AdapterError, match="0 to 65535"):
        SupportSlice.annotated(embedding(), ONE.astype(int) - 2)


def test_a_set_needs_the_structure_on_some_slice():
    with pytest.raises(AdapterError, match="is on none of the labelled slices"):
        SupportSet("liver", (SupportSlice.empty(embedding()),))


def test_a_set_is_of_one_encoder():
    slices = (SupportSlice.annotated(embedding(), ONE), SupportSlice.annotated(embedding(encoder="f"), ONE))
    with pytest.raises(AdapterError, match="different models"):
        SupportSet("liver", slices)


def test_a_slice_that_is_there_twice_counts_once():
    each = SupportSlice.annotated(embedding(), ONE)
    assert len(SupportSet("liver", (each, each)).slices) == 1


def test_each_turn_judges_by_another_slice_that_holds_the_structure(compact):
    found = support_on(compact)
    with_empty = SupportSet("disc", (SupportSlice.empty(found.slices[0].embedding), *found.slices))
    judged = [with_empty.split(turn)[1].title for turn in range(4)]
    assert judged == ["slice 2", "slice 3", "slice 1", "slice 2"]
    rest, one = with_empty.split(0)
    assert one.digest not in {each.digest for each in rest.slices}
    assert len(rest.slices) == 3


def test_a_structure_in_parts_is_scattered_and_specks_do_not_count():
    def support(*boxes):
        return SupportSet("liver", (SupportSlice.annotated(embedding(), labels(*boxes) > 0),))

    large, other, speck = np.s_[20:30, 20:30], np.s_[40:46, 40:46], np.s_[2:4, 2:4]
    assert support(large, other).is_scattered
    assert not support(large, speck).is_scattered


def test_a_single_slice_is_needed_to_learn_from():
    one = SupportSet("liver", (SupportSlice.annotated(embedding(), ONE), SupportSlice.empty(embedding())))
    assert one.split(0) == (one, None)
    with pytest.raises(AdapterError):
        one.without(one.positives[0].digest)
