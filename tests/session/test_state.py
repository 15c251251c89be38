import dataclasses

import pytest

from napari_medfm.errors import SessionError
from napari_medfm.session import Extent, ObjectClass, SegmentedObject, SessionState
from napari_medfm.volume import Plane

CLASSES = (ObjectClass("organ"), ObjectClass("lesion", parent="organ"), ObjectClass("core", parent="lesion"))


def state_of(*kinds):
    things = {k: SegmentedObject(k, f"object {k}", kind, (1, 2, 3)) for k, kind in enumerate(kinds, start=1)}
    return SessionState(objects=things, classes=CLASSES)


def test_an_object_is_found_by_id_or_as_the_active_one():
    state = dataclasses.replace(state_of("organ", "lesion"), active=2)
    assert state.object(1).id == 1
    assert state.object().id == 2


@pytest.mark.parametrize("wanted", [3, None])
def test_a_missing_object_is_named(wanted):
    with pytest.raises(SessionError, match="object"):
        state_of("organ", "lesion").object(wanted)


def test_a_missing_class_is_named():
    with pytest.raises(SessionError, match="spleen"):
        state_of().object_class("spleen")


def test_ancestors_are_listed_from_the_nearest():
    assert state_of().ancestors("core") == ("lesion", "organ")
    assert state_of().ancestors("organ") == ()
    assert state_of().ancestors(None) == ()


def test_an_object_lies_in_one_of_any_class_above_its_own():
    state = state_of("organ", "lesion", "core", None)
    assert state.lies_in(3, 1)
    assert state.lies_in(3, 2)
    assert not state.lies_in(1, 3)
    assert not state.lies_in(1, 1)
    assert not state.lies_in(4, 1)
    assert not state.lies_in(1, 4)


def test_members_of_a_class_include_those_of_the_classes_below():
    state = state_of("organ", "lesion", "core", None)
    assert state.members("lesion") == {2, 3}
    assert state.members("organ") == {1, 2, 3}


def test_what_nobody_marked_is_unseen():
    state = dataclasses.replace(state_of(), extent={("organ", Plane(0, 1)): Extent.ANNOTATED})
    assert state.extent_of("organ", Plane(0, 1)) is Extent.ANNOTATED
    assert state.extent_of("organ", Plane(0, 2)) is Extent.UNSEEN
    assert state.extent_of("lesion", Plane(0, 1)) is Extent.UNSEEN


def test_nothing_in_a_state_can_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SessionState().active = 1
    with pytest.raises(TypeError):
        SessionState().objects[1] = None
