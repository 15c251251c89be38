"""A model of volumes without a cacheable embedding goes through everything that VISTA3D goes through."""

import numpy as np
import pytest
from suites.interaction_channels import InteractionChannels, drawn_in
from suites.region_backend import RegionSuite, ball_volume, click

from napari_medfm.inference import DiskStore, MemoryStore, Predictor, TieredStore, answer_steps
from napari_medfm.models.steps import finish
from napari_medfm.prompts import Box, PromptSet, Scribble
from napari_medfm.volume import Lattice, Plane, array_geometry

FINGERPRINT = "f" * 64


class TestConformance(RegionSuite):
    """The whole suite."""

    @pytest.fixture
    def model(self):
        return InteractionChannels()


def test_each_answer_is_a_whole_pass_and_the_last_one_goes_into_the_next(tmp_path):
    model, disk, memory = InteractionChannels(), DiskStore(tmp_path, 10**9), MemoryStore(10**9)
    predictor = Predictor(model, TieredStore([memory, disk]))
    one = PromptSet((click(),))
    first = finish(answer_steps(predictor, ball_volume(), FINGERPRINT, one))
    two = one.add(click((12, 16, 18), positive=False))
    alone = finish(answer_steps(predictor, ball_volume(), FINGERPRINT, two))
    refined = finish(answer_steps(predictor, ball_volume(), FINGERPRINT, two, first))
    again = finish(answer_steps(predictor, ball_volume(), FINGERPRINT, two, refined))
    assert model.passes == 3  # the last question was answered already
    assert not np.array_equal(alone.parts[0].prediction.logits, refined.parts[0].prediction.logits)
    assert np.array_equal(again.mask, refined.mask)
    assert (memory.info().entries, disk.info().entries) == (1, 0)


def test_a_stroke_and_a_box_are_drawn_where_they_lie_in_the_region():
    lattice = Lattice.over(array_geometry((10, 20, 30)))
    region = lattice.around(lattice.positions((5, 10, 15)), (12, 12, 12))
    box = drawn_in(region, Box(Plane(0, 5), (8.0, 14.0), (11.0, 18.0)))
    assert box.sum() == 3 * 4
    assert region.nearest(box)[5 - region.box[0].start].sum() == 12
    stroke = drawn_in(region, Scribble(Plane(2, 15), ((5.0, 8.0), (5.0, 12.0))))
    assert stroke.sum() == 5
