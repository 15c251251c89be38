"""The simulated person points where a person would: into the larger error, along it, around the object."""

import pytest
import torch

from napari_medfm.pretraining.chance import Chance
from napari_medfm.pretraining.interaction import ADDS, NONE, REMOVES, Click, Pointed, click, depth, loose_box, stroke

SIZE = 48


def rectangle(top, left, bottom, right):
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., top:bottom, left:right] = 1
    return mask


def many(mask, count=200):
    return mask.expand(count, -1, -1, -1)


def cells(places):
    return ((places + 0.5) / 2).floor().long()


def holds(mask, places):
    """Whether the cell of each place is in the mask."""
    rows, columns = cells(places).unbind(-1)
    return mask[0, 0, rows, columns] > 0


def test_depth_is_the_chessboard_distance_to_the_outside_and_the_edge_is_outside():
    found = depth(rectangle(0, 10, 5, 21))[0, 0]
    assert found[2, 15] == 3
    assert found[0, 15] == 1
    assert found[2, 10] == 1
    assert found[:, :10].sum() == found[5:].sum() == 0


@pytest.mark.parametrize(
    ("mask", "truth", "sign"),
    [
        (rectangle(0, 0, 0, 0), rectangle(10, 10, 30, 30), ADDS),
        (rectangle(10, 10, 30, 30), rectangle(10, 10, 28, 18), REMOVES),
        (rectangle(10, 10, 30, 20), rectangle(10, 14, 30, 40), ADDS),
    ],
    ids=["nothing drawn", "too much drawn", "more missing than too much"],
)
def test_a_click_lies_in_the_larger_error_and_says_which_it_is(mask, truth, sign):
    found = click(many(mask), many(truth), Chance.of(0, 0))
    error = truth * (1 - mask) if sign == ADDS else mask * (1 - truth)
    assert found.signs.unique().tolist() == [sign]
    assert holds(error, found.places).all()
    assert len(found.places.unique(dim=0)) > 20


def test_a_click_is_as_deep_as_asked_for():
    truth = rectangle(10, 10, 31, 31)
    middle = click(many(torch.zeros_like(truth)), many(truth), Chance.of(0, 0), centred=1.0)
    assert cells(middle.places).unique(dim=0).tolist() == [[20, 20]]


def test_nothing_is_clicked_where_nothing_is_wrong():
    truth = rectangle(5, 5, 20, 20)
    assert click(truth, truth, Chance.of(0, 0)).signs.tolist() == [NONE]


@pytest.mark.parametrize("sign", [ADDS, REMOVES])
def test_a_stroke_begins_at_the_click_and_counts_only_inside_its_error(sign):
    object_, drawn = rectangle(4, 4, 30, 12), rectangle(20, 20, 44, 44)
    start = click(many(drawn), many(object_), Chance.of(0, 0))
    start = Click(start.places, torch.full_like(start.signs, sign))
    error = object_ if sign == ADDS else drawn
    places = click(many(1 - error) * 0, many(error), Chance.of(0, 1)).places
    found, signs = stroke(Click(places, start.signs), many(drawn), many(object_), Chance.of(0, 2))
    assert torch.equal(found[:, 0], places)
    assert set(signs.unique().tolist()) <= {sign, NONE}
    assert holds(error, found[signs == sign]).all()
    assert (signs == sign).float().mean() > 0.7
    assert (found[:, -1] - found[:, 0]).norm(dim=1).mean() > 6


def test_no_stroke_follows_no_click():
    truth = many(rectangle(4, 4, 30, 12), 3)
    start = Click(torch.full((3, 2), 20.0), torch.full((3,), NONE))
    assert stroke(start, truth * 0, truth, Chance.of(0, 0))[1].unique().tolist() == [NONE]


def test_a_box_is_a_little_larger_than_its_object_on_average_and_stays_in_the_view():
    boxes = loose_box(many(rectangle(10, 20, 25, 40), 4000), Chance.of(0, 0))
    sides = torch.tensor([30.0, 40.0, 30.0, 40.0])
    tight = torch.tensor([20.0, 40.0, 50.0, 80.0])
    outward = (boxes - tight) / sides * torch.tensor([-1, -1, 1, 1])
    assert torch.allclose(outward.mean(0), torch.full((4,), 0.02), atol=0.005)
    assert torch.allclose(outward.std(0), torch.full((4,), 0.1), atol=0.005)
    whole = loose_box(many(rectangle(0, 0, SIZE, SIZE)), Chance.of(0, 0))
    assert whole.min() >= 0
    assert whole.max() <= 2 * SIZE


def test_places_are_added_and_boxes_stay():
    nothing = Pointed.nothing(2, torch.device("cpu"))
    assert nothing.places.shape == (2, 0, 2)
    assert nothing.boxes.isnan().all()
    more = nothing.add(torch.ones(2, 3, 2), torch.zeros(2, 3, dtype=torch.long))
    assert more.places.shape == (2, 3, 2)
    assert more.signs.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert more.boxes is nothing.boxes


def test_some_objects_can_be_without_anything_pointed_at():
    signs = torch.tensor([[ADDS, REMOVES], [ADDS, NONE]])
    pointed = Pointed(torch.ones(2, 2, 2), signs, torch.ones(2, 4)).without(torch.tensor([True, False]))
    assert pointed.signs.tolist() == [[NONE, NONE], [ADDS, NONE]]
    assert pointed.boxes.isnan().all(dim=1).tolist() == [True, False]
