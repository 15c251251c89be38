"""What happens to voxels, told on a row of six: where an organ, a lesion in it and a vessel meet."""

import dataclasses

import numpy as np
import pytest

from napari_medfm.session import CommitPolicy, ObjectClass, SegmentedObject, SessionState
from napari_medfm.session.edits import Cut, Editor, Kin, classify, lay

ORGAN, LESION, CORE, VESSEL, PLAIN = 1, 2, 3, 4, 5
KINDS = {ORGAN: "organ", LESION: "lesion", CORE: "core", VESSEL: "vessel", PLAIN: None}
CLASSES = (
    ObjectClass("organ"),
    ObjectClass("lesion", parent="organ"),
    ObjectClass("core", parent="lesion"),
    ObjectClass("vessel"),
)


@pytest.fixture
def state():
    things = {number: SegmentedObject(number, f"{kind}", kind, (1, 2, 3)) for number, kind in KINDS.items()}
    return SessionState(objects=things, classes=CLASSES)


def locked(state, *numbers):
    things = {k: dataclasses.replace(thing, locked=k in numbers) for k, thing in state.objects.items()}
    return dataclasses.replace(state, objects=things)


def replacing(state):
    return dataclasses.replace(state, policy=CommitPolicy.REPLACE)


def row(*labels):
    return Cut((np.array(labels, np.uint16),))


def mask(text):
    return np.array([sign == "#" for sign in text])


def labels(cut):
    return cut.levels[0].tolist()


def shown(state, number, cut):
    return "".join("#" if here else "." for here in Editor(state, number).shown(cut))


def test_a_first_answer_takes_background(state):
    cut = Editor(state, ORGAN).predict(row(0, 0, 0, 0, 0, 0), mask(".###.."))
    assert labels(cut) == [0, 1, 1, 1, 0, 0]


def test_a_new_answer_replaces_the_former_one(state):
    cut = Editor(state, ORGAN).predict(row(0, 1, 1, 1, 0, 0), mask("...##."))
    assert labels(cut) == [0, 0, 0, 1, 1, 0]


def test_other_objects_are_left_alone(state):
    cut = Editor(state, ORGAN).predict(row(0, 0, 4, 4, 5, 0), mask("######"))
    assert labels(cut) == [1, 1, 4, 4, 5, 1]


def test_a_child_lies_in_its_parent_and_gives_it_back(state):
    organ = Editor(state, ORGAN).predict(row(0, 0, 0, 0, 0, 0), mask("#####."))
    both = Editor(state, LESION).predict(organ, mask("..####"))
    assert labels(both) == [1, 1, 2, 2, 2, 2]
    assert shown(state, ORGAN, both) == "#####."
    less = Editor(state, LESION).predict(both, mask("..#..."))
    assert labels(less) == [1, 1, 2, 1, 1, 0]
    assert labels(Editor(state, LESION).clear(both)) == [1, 1, 1, 1, 1, 0]


def test_it_does_not_matter_whether_parent_or_child_is_drawn_first(state):
    def drawn(*acts):
        cut = row(0, 0, 0, 0, 0, 0)
        for number, text in acts:
            cut = Editor(state, number).predict(cut, mask(text))
        return cut

    one = drawn((ORGAN, "#####."), (LESION, "..###."), (CORE, "...##."))
    two = drawn((CORE, "...##."), (LESION, "..###."), (ORGAN, "#####."))
    assert labels(one) == labels(two) == [1, 1, 2, 3, 3, 0]
    for number in (ORGAN, LESION, CORE):
        assert shown(state, number, one) == shown(state, number, two)


def test_three_generations_come_back_one_by_one(state):
    cut = row(0, 0, 0, 0, 0, 0)
    for number in (ORGAN, LESION, CORE):
        cut = Editor(state, number).predict(cut, mask("..##.."))
    seen = []
    for number in (CORE, LESION, ORGAN):
        cut = Editor(state, number).clear(cut)
        seen.append(labels(cut)[2])
    assert seen == [LESION, ORGAN, 0]


def test_a_parent_that_shrinks_leaves_its_child(state):
    cut = Editor(state, ORGAN).predict(row(0, 0, 0, 0, 0, 0), mask("####.."))
    cut = Editor(state, LESION).predict(cut, mask("..##.."))
    cut = Editor(state, ORGAN).predict(cut, mask("#....."))
    assert labels(cut) == [1, 0, 2, 2, 0, 0]
    assert labels(Editor(state, LESION).clear(cut)) == [1, 0, 0, 0, 0, 0]


def test_replacing_takes_from_others_and_gives_back(state):
    state = replacing(state)
    cut = Editor(state, ORGAN).predict(row(0, 4, 4, 4, 0, 0), mask("###..."))
    assert labels(cut) == [1, 1, 1, 4, 0, 0]
    assert shown(state, VESSEL, cut) == "...#.."
    cut = Editor(state, ORGAN).predict(cut, mask("##...."))
    assert labels(cut) == [1, 1, 4, 4, 0, 0]


def test_nothing_is_taken_from_a_locked_object_whatever_the_policy(state):
    state = locked(replacing(state), VESSEL)
    assert labels(Editor(state, ORGAN).predict(row(0, 4, 4, 0, 0, 0), mask("######"))) == [1, 4, 4, 1, 1, 1]
    assert labels(Editor(state, ORGAN).paint(row(0, 4, 4, 0, 0, 0), mask("######"))) == [1, 4, 4, 1, 1, 1]


def test_a_locked_parent_keeps_its_voxels_from_its_children(state):
    cut = Editor(locked(state, ORGAN), LESION).predict(row(1, 1, 1, 0, 0, 0), mask(".####."))
    assert labels(cut) == [1, 1, 1, 2, 2, 0]


def test_a_locked_object_grows_for_nobody(state):
    taken = Editor(replacing(state), ORGAN).predict(row(4, 4, 4, 0, 0, 0), mask("##...."))
    given_up = Editor(locked(replacing(state), VESSEL), ORGAN).predict(taken, mask("......"))
    assert labels(given_up) == [0, 0, 4, 0, 0, 0]


def test_a_locked_object_on_top_stays_when_what_it_took_is_given_up(state):
    taken = Editor(replacing(state), VESSEL).predict(row(1, 1, 1, 0, 0, 0), mask("##...."))
    given_up = Editor(locked(replacing(state), VESSEL), ORGAN).predict(taken, mask("......"))
    assert labels(given_up) == [4, 4, 0, 0, 0, 0]


def test_a_locked_grandparent_is_not_cut_by_replacing_its_child(state):
    nested = Editor(state, LESION).predict(row(1, 1, 1, 0, 0, 0), mask(".##..."))
    state = locked(replacing(state), ORGAN)
    cut = Editor(state, VESSEL).predict(nested, mask("######"))
    assert shown(state, ORGAN, cut) == "###..."


def test_the_hand_wins_over_the_model(state):
    editor = Editor(state, ORGAN)
    cut = editor.paint(row(0, 0, 0, 0, 0, 0), mask("##...."))
    cut = editor.predict(cut, mask("..####"))
    cut = editor.erase(cut, mask(".....#"))
    assert labels(cut) == [1, 1, 1, 1, 1, 0]
    again = editor.predict(cut, mask("...###"))
    assert labels(again) == [1, 1, 0, 1, 1, 0]
    assert again.hand.tolist() == [1, 1, 0, 0, 0, -1]


def test_clearing_forgets_the_hand(state):
    editor = Editor(state, ORGAN)
    cut = editor.clear(editor.erase(editor.paint(row(0, 0, 0, 0, 0, 0), mask("####..")), mask("...##.")))
    assert labels(cut) == [0] * 6
    assert cut.hand.tolist() == [0] * 6


def test_what_was_painted_for_another_is_not_the_models_to_take(state):
    cut = Editor(state, VESSEL).paint(row(0, 0, 0, 0, 0, 0), mask("##...."))
    cut = Editor(replacing(state), ORGAN).predict(cut, mask("####.."))
    assert labels(cut) == [4, 4, 1, 1, 0, 0]
    assert labels(Editor(replacing(state), ORGAN).paint(cut, mask("#....."))) == [1, 4, 1, 1, 0, 0]


def test_the_eraser_takes_from_its_own_object_only_whatever_the_policy(state):
    cut = Editor(replacing(state), ORGAN).erase(row(1, 4, 4, 1, 0, 0), mask("######"))
    assert labels(cut) == [0, 4, 4, 0, 0, 0]


def test_the_eraser_leaves_what_was_painted_for_another(state):
    cut = Editor(state, VESSEL).paint(row(1, 0, 0, 0, 0, 0), mask(".#...."))
    cut = Editor(state, ORGAN).erase(cut, mask("##...."))
    assert cut.hand.tolist() == [-1, 4, 0, 0, 0, 0]


def test_erasing_a_parent_under_a_painted_child_leaves_the_childs_mark(state):
    cut = Editor(state, LESION).paint(row(1, 1, 1, 0, 0, 0), mask(".#...."))
    cut = Editor(state, ORGAN).erase(cut, mask("##...."))
    assert labels(cut) == [0, 2, 1, 0, 0, 0]
    assert shown(state, ORGAN, cut) == "..#..."
    assert cut.hand.tolist() == [-1, 2, 0, 0, 0, 0]


def test_painting_over_what_is_kept_leaves_no_mark(state):
    cut = Editor(state, ORGAN).paint(row(4, 0, 0, 0, 0, 0), mask("##...."))
    assert cut.hand.tolist() == [0, 1, 0, 0, 0, 0]


def test_painting_a_parent_under_its_child_is_remembered_beneath(state):
    cut = Editor(state, ORGAN).paint(row(2, 2, 0, 0, 0, 0), mask(".##..."))
    assert labels(cut) == [2, 2, 1, 0, 0, 0]
    assert shown(state, ORGAN, cut) == ".##..."


def test_nothing_done_is_nothing_copied(state):
    before = row(0, 1, 4, 0, 0, 0)
    after = Editor(state, ORGAN).predict(before, mask(".##..."))
    assert after.levels[0] is before.levels[0]
    assert after.hand is None


def test_arrays_of_a_cut_are_never_written_to(state):
    before = row(0, 1, 4, 0, 0, 0)
    before.levels[0].setflags(write=False)
    Editor(state, ORGAN).predict(before, mask("#....."))
    Editor(state, ORGAN).paint(before, mask("#....."))
    Editor(state, ORGAN).clear(before)


@pytest.mark.parametrize("number", [7, 70_000, 2_000_000_000])
def test_holders_are_told_apart_however_large_their_ids(number):
    asked = []

    def kin(other):
        asked.append(other)
        return Kin.OTHER

    level = np.array([0, number, number, 1], np.uint32)
    assert classify(level, kin).tolist() == [Kin.NOBODY, Kin.OTHER, Kin.OTHER, Kin.OTHER]
    assert sorted(asked) == [1, number]


def test_imported_labels_lie_where_nobody_is(state):
    values = np.array([8, 8, 9, 9, 0, 0])
    assert labels(lay(row(0, 4, 0, 0, 0, 0), values, state)) == [8, 4, 9, 9, 0, 0]
    assert labels(lay(row(0, 4, 0, 0, 5, 0), values, replacing(state))) == [8, 8, 9, 9, 5, 0]
    assert labels(lay(row(0, 4, 0, 0, 0, 0), values, locked(replacing(state), VESSEL))) == [8, 4, 9, 9, 0, 0]


def test_replaced_labels_lie_beneath_imported_ones(state):
    cut = lay(row(0, 4, 0, 0, 0, 0), np.array([8, 8, 0, 0, 0, 0]), replacing(state))
    assert cut.levels[1].tolist() == [0, 4, 0, 0, 0, 0]
