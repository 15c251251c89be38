import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.propagation.stopping import Look, Scale, StopRules, change_of, jumps, leaves, reason_to_stop

RULES = StopRules()
FINE, THICK = Scale((1.0, 1.0), 1.0), Scale((1.0, 1.0), 8.0)

areas = st.floats(1.0, 1e5)


def square(size, at=(10, 10)):
    mask = np.zeros((60, 60), bool)
    mask[at[0] : at[0] + size, at[1] : at[1] + size] = True
    return mask


def look(found, last=None, quality=0.9, agreement=0.9, usual=0.9):
    return Look(found, square(12) if last is None else last, quality, agreement, usual)


def test_a_slice_like_the_one_before_is_believed():
    assert reason_to_stop(look(square(12)), FINE, RULES) is None


def test_an_object_that_is_gone_stops():
    assert reason_to_stop(look(square(0)), FINE, RULES) == "empty"


def test_an_object_smaller_than_asked_for_is_gone():
    rules = StopRules(smallest=10.0)
    assert reason_to_stop(look(square(3), square(4)), FINE, rules) == "empty"
    assert reason_to_stop(look(square(3), square(4)), Scale((2.0, 2.0), 2.0), rules) is None


def test_an_object_that_suddenly_fills_the_slice_stops():
    assert reason_to_stop(look(square(40), square(6)), FINE, RULES) == "area"


def test_the_same_change_of_area_is_believed_of_thick_slices():
    assert reason_to_stop(look(square(20), square(8)), FINE, RULES) == "area"
    assert reason_to_stop(look(square(20), square(8)), THICK, RULES) is None


@pytest.mark.parametrize(
    ("quality", "agreement", "usual"),
    [(0.49, 0.9, 0.5), (0.6, 0.9, 0.95), (0.9, 0.49, 0.9)],
    ids=["low", "drop", "odds"],
)
def test_doubt_stops(quality, agreement, usual):
    assert reason_to_stop(look(square(12), None, quality, agreement, usual), FINE, RULES) == "quality"


def test_an_object_that_suddenly_looks_different_stops():
    found = Look(square(12), square(12), 0.9, 0.9, 0.9, change=2.1)
    assert reason_to_stop(found, FINE, RULES) == "brightness"


def test_a_change_is_counted_in_standard_deviations_of_the_object():
    before = np.where(np.indices((60, 60)).sum(axis=0) % 2, 110, 90).astype(np.uint8)
    after = np.full((60, 60), 130, np.uint8)
    assert change_of(square(12), square(12), after, before) == pytest.approx(3.0)
    assert change_of(square(0), square(12), after, before) == 0.0


def test_an_object_that_is_somewhere_else_stops():
    assert reason_to_stop(look(square(12, (10, 21))), FINE, RULES) == "overlap"


def test_a_thin_object_may_be_somewhere_else_on_the_next_thick_slice():
    assert leaves(look(square(4, (10, 20)), square(4)), FINE, RULES)
    assert not leaves(look(square(4, (10, 20)), square(4)), THICK, RULES)


@given(areas, areas)
def test_a_jump_is_one_in_both_directions(first, second):
    assert jumps(first, second, FINE, RULES) == jumps(second, first, FINE, RULES)


@given(areas, areas, st.floats(1.0, 10.0))
def test_what_jumps_across_thick_slices_jumps_across_thin_ones(first, second, times):
    thicker = Scale(FINE.spacing, FINE.step * times)
    assert jumps(first, second, FINE, RULES) or not jumps(first, second, thicker, RULES)


@given(st.floats(1.0, 200.0), st.floats(0.1, 5.0))
def test_an_outline_within_the_slope_never_jumps(radius, step):
    scale = Scale((0.1, 0.1), step)
    grown = radius + 0.99 * RULES.slope * step
    assert not jumps(math.pi * radius**2, math.pi * grown**2, scale, RULES)


@given(st.floats(0.2, 5.0))
def test_only_the_proportions_count_not_the_unit(unit):
    first, second = math.pi * 4.0, math.pi * 49.0
    scaled = Scale((unit, unit), unit)
    assert jumps(first, second, FINE, RULES) == jumps(first * unit**2, second * unit**2, scaled, RULES)
