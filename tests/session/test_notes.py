"""What a session notes beside its state, and reads again when it is reopened."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.session import AnnotationSession, Undertaking, Work
from napari_medfm.session.notes import (
    note_adapter,
    note_begun,
    note_learned,
    note_left_out,
    note_over,
    noted_adapters,
    noted_learned,
    noted_left_out,
    unfinished,
)
from napari_medfm.volume import Plane

from .conftest import FINGERPRINT

FILL = Undertaking(Work.FILL, "organ", Plane(0, 3), (1, 4))
ADAPT = Undertaking(Work.ADAPT, "vessel")


@given(
    st.builds(
        Undertaking,
        st.sampled_from(Work),
        st.text(min_size=1),
        st.none() | st.builds(Plane, st.integers(0, 2), st.integers(0, 600)),
        st.none() | st.tuples(st.integers(0, 600), st.integers(0, 600)),
    )
)
def test_an_undertaking_comes_back_as_it_was(what):
    assert Undertaking.from_json(what.to_json()) == what


def test_what_was_begun_is_unfinished_until_it_is_over(session):
    for what in (FILL, ADAPT, FILL):
        note_begun(session, what)
    assert unfinished(session) == (ADAPT, FILL), "what was begun last is the last"
    note_over(session, Work.FILL, "organ")
    note_over(session, Work.FILL, "vessel")
    assert unfinished(session) == (ADAPT,)


def test_what_never_began_is_not_noted_to_be_over(session):
    head = session._ledger.journal.head
    note_over(session, Work.ADAPT, "organ")
    assert session._ledger.journal.head == head


def test_the_last_word_on_each_example_and_adapter_counts(session):
    for left_out in (True, False, True):
        note_left_out(session, "organ", Plane(0, 3), left_out)
        note_left_out(session, "organ", "earlier.safetensors", not left_out)
    assert noted_left_out(session) == {("organ", Plane(0, 3))}
    for planes in ({Plane(0, 1)}, {Plane(0, 3), Plane(1, 2)}):
        note_learned(session, "organ", planes)
    assert noted_learned(session) == {"organ": {Plane(0, 3), Plane(1, 2)}}
    note_adapter(session, "organ", "a", on=True)
    note_adapter(session, "organ", "b", on=False)
    assert noted_adapters(session) == {"organ": ("b", False)}


def test_notes_survive_reopening_and_undo_passes_them_by(session, reopen):
    session.write_voxels(session.add_object("organ"), np.s_[2:3, 0:2, 0:2], np.ones((1, 2, 2), bool))
    session.undo()
    note_begun(session, FILL)
    note_left_out(session, "organ", Plane(0, 3), True)
    assert session.can_redo, "nothing of what was undone is lost"
    again = reopen(session)
    assert unfinished(again) == (FILL,)
    assert noted_left_out(again) == {("organ", Plane(0, 3))}
    assert again.redo() == "brush"
    again.undo()
    again.undo()
    assert not again.can_undo
    assert unfinished(again) == (FILL,)


def test_a_session_that_is_read_only_notes_nothing(session, volume, folder):
    note_begun(session, FILL)
    with AnnotationSession.resume(volume, FINGERPRINT, folder) as reader:
        assert reader.read_only
        note_over(reader, Work.FILL, "organ")
        note_left_out(reader, "organ", Plane(0, 3), True)
        assert unfinished(reader) == (FILL,)
        assert noted_left_out(reader) == set()
