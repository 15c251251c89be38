"""Where a model of volumes looks, what it is asked there, and what is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from suites.interaction_channels import InteractionChannels
from suites.region_backend import ball_volume, click

from napari_medfm.errors import ModelError
from napari_medfm.inference import DiskStore, MemoryStore, Predictor, TieredStore, answer_steps
from napari_medfm.inference.regions import cover
from napari_medfm.models import RegionRecipe, load_model
from napari_medfm.models.backends.vista3d import Vista3d, build_small_vista3d
from napari_medfm.models.steps import finish
from napari_medfm.prompts import PromptSet, Scribble
from napari_medfm.volume import Lattice, Plane, Volume, Window, array_geometry

FINGERPRINT = "f" * 64
RECIPE = RegionRecipe("any", side=16, margin=4)
LATTICE = Lattice.over(array_geometry((60, 60, 60)))

voxels = st.tuples(*[st.integers(0, 59)] * 3)


def sets(*clicks):
    return PromptSet(tuple(clicks))


@pytest.fixture(scope="module")
def model():
    return Vista3d(build_small_vista3d(8), side=32, device="cpu")


@given(st.lists(st.tuples(voxels, st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_every_positive_click_lies_well_inside_a_region_and_more_clicks_never_move_one(chosen):
    prompts = [click(voxel, axis, positive) for voxel, axis, positive in chosen]
    regions = cover(RECIPE, LATTICE, sets(*prompts))
    for voxel, _, positive in chosen:
        held = [region.inside(region.positions(voxel), RECIPE.margin) for region in regions]
        assert any(held) or not positive
    assert cover(RECIPE, LATTICE, sets(*prompts[:-1])) == regions[: len(cover(RECIPE, LATTICE, sets(*prompts[:-1])))]
    assert len(set(regions)) == len(regions) <= sum(positive for *_, positive in chosen)


def test_a_click_near_the_border_looks_further_and_a_negative_one_does_not():
    first = click((30, 30, 30))
    (region,) = cover(RECIPE, LATTICE, sets(first))
    assert cover(RECIPE, LATTICE, sets(first, click((33, 30, 30)))) == (region,)
    assert cover(RECIPE, LATTICE, sets(first, click((36, 30, 30), positive=False))) == (region,)
    one, other = cover(RECIPE, LATTICE, sets(first, click((36, 30, 30))))
    assert one == region
    assert other.positions((36, 30, 30)).tolist() == [8, 8, 8]
    assert cover(RECIPE, LATTICE, sets(click((30, 30, 30), positive=False))) == ()


def test_a_stroke_is_covered_from_end_to_end():
    stroke = Scribble(Plane(1, 30), ((10.0, 30.0), (50.0, 30.0)))
    regions = cover(RECIPE, LATTICE, sets(stroke))
    for end in ((10, 30, 30), (50, 30, 30)):
        assert any(region.inside(region.positions(end), RECIPE.margin) for region in regions)


def test_only_regions_in_which_something_is_new_are_asked_again():
    volume = Volume(np.zeros((24, 40, 90), np.int16), array_geometry((24, 40, 90)))
    model = InteractionChannels()
    predictor = Predictor(model, MemoryStore(10**9))
    first = sets(click((12, 20, 12)), click((12, 20, 75)))
    answer = finish(answer_steps(predictor, volume, FINGERPRINT, first))
    assert (len(answer.parts), model.passes) == (2, 2)
    more = finish(answer_steps(predictor, volume, FINGERPRINT, first.add(click((12, 22, 77))), answer))
    assert model.passes == 3
    assert more.parts[0] is answer.parts[0]


def test_where_regions_overlap_the_mean_of_their_logits_decides(model):
    volume = ball_volume((24, 40, 80))
    predictor = Predictor(model, MemoryStore(10**9))
    answer = finish(answer_steps(predictor, volume, FINGERPRINT, sets(click((12, 20, 20)), click((12, 20, 44)))))
    one, other = answer.parts
    shared = [part.stop for part in answer.box]
    assert [part.start for part in answer.box] <= [part.start for part in one.region.box]
    assert shared >= [part.stop for part in other.region.box]
    left, right = np.full(volume.shape, np.nan), np.full(volume.shape, np.nan)
    left[one.region.box] = one.region.nearest(one.prediction.logits)
    right[other.region.box] = other.region.nearest(other.prediction.logits)
    both = np.isfinite(left) & np.isfinite(right)
    mean = np.where(both, (left + right) / 2, np.where(np.isfinite(left), left, right))
    mask = np.zeros(volume.shape, bool)
    mask[answer.box] = answer.mask
    assert both.any()
    assert not (mask & ~(mean > 0)).any()  # what no click touches was taken away


def test_a_region_is_kept_on_the_disk_and_its_bytes_are_counted(model, tmp_path):
    disk = DiskStore(tmp_path, 10**9)
    first = finish(answer_steps(Predictor(model, disk), ball_volume(), FINGERPRINT, sets(click())))
    assert disk.info().entries == 1
    assert model.spec.embedding_bytes <= disk.info().bytes < model.spec.embedding_bytes + 2000
    steps = answer_steps(
        Predictor(model, TieredStore([MemoryStore(10**9), disk])), ball_volume(), FINGERPRINT, sets(click())
    )
    with pytest.raises(StopIteration) as end:  # nothing has to be embedded
        next(steps)
    assert np.array_equal(end.value.value.mask, first.mask)


def test_an_embedding_that_was_interrupted_goes_on_where_it_was(model):
    read = []

    class Watched(np.ndarray):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    volume = Volume(ball_volume().array.view(Watched), ball_volume().geometry)
    predictor = Predictor(model, MemoryStore(10**9))
    begun = answer_steps(predictor, volume, FINGERPRINT, sets(click()))
    for _ in range(model.recipe.steps // 2):
        next(begun)
    begun.close()
    rest = list(answer_steps(predictor, volume, FINGERPRINT, sets(click(), click((12, 19, 17)))))
    assert len(rest) <= model.recipe.steps // 2 + 1
    assert len(read) == 1


def test_the_share_that_is_embedded_grows_to_the_whole(model):
    shares = list(answer_steps(Predictor(model, MemoryStore(10**9)), ball_volume(), FINGERPRINT, sets(click())))
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.2
    assert 0.9 < shares[-1] <= 1


def test_nothing_positive_asks_nothing(model):
    predictor = Predictor(model, MemoryStore(10**9))
    answer = finish(answer_steps(predictor, ball_volume(), FINGERPRINT, sets(click(positive=False))))
    assert (answer.box, answer.quality, answer.parts) == (None, 0.0, ())


def test_slices_are_refused_by_models_of_volumes_and_volumes_by_models_of_slices(model):
    predictor = Predictor(model, MemoryStore(10**9))
    with pytest.raises(ModelError, match="not for slices"):
        predictor.key(FINGERPRINT, Plane(0, 3), Window("all", 0, 1))
    picture = Volume(np.zeros((20, 30), np.int16), array_geometry((20, 30)), name="picture")
    with pytest.raises(ModelError, match="picture"):
        finish(answer_steps(predictor, picture, FINGERPRINT, sets(click())))
    slices = Predictor(load_model("random_walker"))
    with pytest.raises(ModelError, match="not for volumes"):
        finish(answer_steps(slices, ball_volume(), FINGERPRINT, sets(click())))
