import pytest

from napari_medfm.session.history import Entry, History
from napari_medfm.volume import Plane

LEFT, RIGHT = (slice(0, 2), slice(0, 2)), (slice(5, 7), slice(5, 7))
SUBJECT = (1, Plane(0, 3))


def numbers(steps):
    return [step.number for step in steps]


@pytest.fixture
def history():
    """Return a history of a click, its mask, and a stroke elsewhere."""
    return History(
        [
            Entry(1, 1, "add_prompt", "click", None, SUBJECT),
            Entry(2, 1, "mask", "mask", LEFT),
            Entry(3, 3, "paint", "brush", RIGHT),
        ]
    )


def test_events_of_one_step_are_undone_together(history):
    assert [step.events for step in history.done] == [(1, 2), (3,)]
    assert history.last_done.title == "brush"


def test_undo_and_redo_move_a_step_once_however_many_events_it_has(history):
    for seq, step in ((4, 3), (5, 1), (6, 1)):
        history.record(Entry(seq, step, "undo", ""))
    assert (numbers(history.done), numbers(history.undone)) == ([], [3, 1])
    assert history.last_undone.number == 1
    for seq in (7, 8):
        history.record(Entry(seq, 1, "redo", ""))
    assert (numbers(history.done), numbers(history.undone)) == ([1], [3])


def test_a_new_step_drops_what_was_undone(history):
    history.record(Entry(4, 3, "undo", ""))
    history.record(Entry(5, 5, "paint", "brush"))
    assert (numbers(history.done), numbers(history.undone)) == ([1, 5], [])


def test_an_event_that_is_no_step_drops_nothing(history):
    history.record(Entry(4, 3, "undo", ""))
    history.record(Entry(5, 0, "set_active", ""))
    assert (numbers(history.done), numbers(history.undone)) == ([1], [3])


def test_an_answer_belongs_to_the_step_of_its_prompt(history):
    assert history.joins(SUBJECT, LEFT) == 1
    assert history.joins(SUBJECT, None) == 1


def test_an_answer_over_voxels_of_a_later_step_is_a_step_of_its_own(history):
    assert history.joins(SUBJECT, (slice(1, 6), slice(1, 6))) == 0


def test_an_answer_without_its_prompt_in_the_history_is_a_step_of_its_own(history):
    assert history.joins((2, Plane(0, 3)), LEFT) == 0
    assert History().joins(SUBJECT, LEFT) == 0


def test_a_late_answer_grows_the_step_it_joins(history):
    history.record(Entry(4, 1, "mask", "mask", LEFT))
    assert [step.events for step in history.done] == [(1, 2, 4), (3,)]
    assert history.done[0].regions == (LEFT, LEFT)


def test_a_late_answer_leaves_the_redo_of_what_lies_elsewhere(history):
    history.record(Entry(4, 3, "undo", ""))
    assert history.spares_redo(LEFT)
    history.record(Entry(5, 1, "mask", "mask", LEFT))
    assert numbers(history.undone) == [3]
    assert not history.spares_redo(RIGHT)
    history.record(Entry(6, 1, "mask", "mask", RIGHT))
    assert numbers(history.undone) == []


def test_the_fold_over_all_events_is_what_recording_them_one_by_one_gives(history):
    entries = [Entry(4, 3, "undo", ""), Entry(5, 5, "paint", "brush", LEFT), Entry(6, 5, "undo", "")]
    for entry in entries:
        history.record(entry)
    first = [
        Entry(1, 1, "add_prompt", "click", None, SUBJECT),
        Entry(2, 1, "mask", "mask", LEFT),
        Entry(3, 3, "paint", "brush", RIGHT),
    ]
    again = History([*first, *entries])
    assert (again.done, again.undone) == (history.done, history.undone)
