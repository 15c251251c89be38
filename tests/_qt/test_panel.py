"""The panel as a whole: intents out, session and model in, nothing left behind."""

import gc
import weakref
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QObject
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QTableView

from napari_medfm._qt import MainThreadDispatcher, MedfmPanel
from napari_medfm._qt.section import Section
from napari_medfm.errors import SessionError
from napari_medfm.inference import Predictor
from napari_medfm.models import available_models, load_model
from napari_medfm.prompts import Point
from napari_medfm.session import AnnotationSession, LiveSegmentation
from napari_medfm.volume import PRESETS, Plane
from napari_medfm.workers import Lane

pytestmark = pytest.mark.qt
HERE = Plane(0, 6)


@pytest.fixture
def panel(qtbot, small_volume):
    panel = MedfmPanel()
    qtbot.addWidget(panel)
    panel.set_images(["small"], "small")
    panel.set_volume(small_volume)
    panel.set_models(available_models(), "random_walker")
    panel.set_window(PRESETS["abdomen"])
    panel.set_plane(HERE)
    panel.show()
    yield panel
    panel.unbind()


@pytest.fixture
def live(qtbot, session):
    dispatch = MainThreadDispatcher()
    with Lane() as lane:
        live = LiveSegmentation(session, Predictor(load_model("random_walker")), lane, dispatch=dispatch)
        yield live
        live.close()
    dispatch.close()


def connections(session):
    """Return how many views listen to a session."""
    return sum(len(signal) for signal in session.events.signals.values())


def test_a_prompt_is_answered_and_the_panel_tells_how_fast_and_how_big(qtbot, panel, session, live):
    panel.bind(session, live)
    live.add_prompt(Point(HERE, (24, 20)))
    assert panel.progress.answer.text() == "Predicting…"
    qtbot.waitUntil(lambda: panel.progress.answer.text().startswith("Answered in"))
    assert session.voxel_count(1) > 0
    size = panel.objects.model.index(0, 3).data()
    assert size == f"{session.volume_ml(1):.2f}"


def test_deleting_a_prompt_in_the_panel_lets_the_mask_follow(qtbot, panel, session, live):
    panel.bind(session, live)
    live.add_prompt(Point(HERE, (24, 20)))
    qtbot.waitUntil(lambda: not live.busy)
    assert session.object_mask(1, HERE).any()
    panel.prompts.prompts.cellClicked.emit(0, 2)
    qtbot.waitUntil(lambda: not live.busy)
    assert not session.object_mask(1, HERE).any()


def test_embedding_is_shown_as_it_goes(qtbot, panel, session, live):
    panel.bind(session, live)
    live.embed_all()
    qtbot.waitUntil(lambda: panel.progress.bar.text() == "12 of 12 slices prepared")


def test_a_failure_is_shown_until_it_is_dismissed(panel):
    panel.show_error(SessionError("Object 1", "is locked", "Unlock it."))
    assert panel.error.text == "Object 1: is locked. Unlock it."
    panel.show_error(SessionError("Object 2", "is locked", "Unlock it."))
    assert panel.error.text == "Object 2: is locked. Unlock it."


def test_what_the_session_refuses_in_any_section_is_shown(panel, session):
    panel.bind(session)
    session.set_locked(session.add_object(), True)
    panel.objects.delete.click()
    assert "is locked" in panel.error.text
    panel.error.say("")
    panel.prompts.reset.click()
    assert "is locked" in panel.error.text


def test_a_session_that_another_program_writes_is_shown_but_not_offered_for_change(panel, session):
    session.add_object()
    with AnnotationSession.resume(session.volume, session.fingerprint, session.path.parent) as other:
        panel.bind(other)
        assert panel.resume.read_only.text == other.message != ""
        assert panel.objects.model.rowCount() == 1
        assert not panel.objects.add.isEnabled()
        assert not panel.prompts.undo.isEnabled()
        panel.unbind()
    assert panel.resume.read_only.text == ""


def test_what_concerns_neither_session_nor_model_leaves_as_an_intent(qtbot, panel, session):
    panel.bind(session)
    session.add_object()
    for intent, act in (
        (panel.open_requested, panel.image.open.click),
        (panel.plane_cycle_requested, panel.image.cycle.click),
        (panel.contrast_linked, panel.image.link.click),
        (panel.window_selected, lambda: panel.image.window_level.setValue(77)),
        (panel.image_selected, lambda: panel.image.images.textActivated.emit("small")),
        (panel.model_selected, lambda: panel.model.models.activated.emit(0)),
        (panel.weights_chosen, lambda: panel.model.weights_chosen.emit("sam", Path("sam.pth"))),
        (panel.download_requested, lambda: panel.model.download_requested.emit("sam")),
        (panel.licence_agreed, panel.model.agree.click),
        (panel.tool_selected, panel.prompts.tools["box"].click),
        (panel.sign_toggled, panel.prompts.subtract.click),
        (panel.hover_toggled, panel.prompts.hover.click),
        (panel.jump_requested, panel.objects.jump.click),
        (panel.labels_import_requested, panel.progress.load.click),
        (panel.embed_all_requested, panel.progress.embed.click),
        (panel.cancel_embedding_requested, panel.progress.cancel_embedding_requested.emit),
        (panel.save_requested, panel.progress.save.click),
        (panel.resume_answered, panel.resume.anew.click),
    ):
        with qtbot.waitSignal(intent):
            act()


def test_binding_another_session_lets_go_of_the_first(panel, session, tmp_path):
    panel.bind(session)
    with AnnotationSession.create(session.volume, session.fingerprint, folder=tmp_path / "other") as other:
        panel.bind(other)
        assert connections(session) == 0
        session.add_object()
        assert panel.objects.model.rowCount() == 0
        panel.unbind()
        assert connections(other) == 0


def test_an_unbound_panel_keeps_neither_session_nor_model_alive(panel, small_volume, tmp_path):
    session = AnnotationSession.create(small_volume, "a" * 64, folder=tmp_path)
    lane = Lane()
    live = LiveSegmentation(session, Predictor(load_model("random_walker")), lane)
    panel.bind(session, live)
    panel.unbind()
    live.close()
    lane.close()
    session.close()
    references = weakref.ref(session), weakref.ref(live)
    del session, live
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_a_panel_that_is_destroyed_without_being_told_leaves_the_session_usable(qtbot, session):
    panel = MedfmPanel()
    panel.bind(session)
    session.add_object()
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert connections(session) == 0
    session.add_object()
    session.write_voxels(1, (slice(0, 1),) * 3, np.ones((1, 1, 1), bool))


def test_a_panel_that_nobody_holds_is_gone(qtbot, session):
    panel = MedfmPanel()
    panel.bind(session)
    panel.unbind()
    reference = weakref.ref(panel)
    del panel
    gc.collect()
    assert reference() is None


def test_no_part_hides_a_method_of_qt_behind_its_name(panel):
    for widget in (panel, panel.resume, *panel.findChildren(Section)):
        inherited = {name for base in type(widget).__mro__[1:] for name in vars(base)}
        assert not inherited & {name for name, part in vars(widget).items() if isinstance(part, QObject)}, widget


def test_every_control_has_a_tooltip_and_a_name_for_screen_readers(panel, session):
    panel.bind(session)
    session.add_object()
    for kind in (QAbstractButton, QComboBox, QAbstractSpinBox, QTableView):
        for control in panel.findChildren(kind):
            if control.objectName().startswith("qt_") or control.parent() in panel.findChildren(QTableView):
                continue  # parts that Qt makes for itself
            assert control.toolTip(), control
            assert control.accessibleName() or control.text(), control


def test_every_control_can_be_reached_with_the_tab_key(panel, session):
    panel.bind(session)
    panel.offer_resume(1, datetime(2026, 1, 1))
    reached, widget = set(), panel
    for _ in range(500):
        widget = widget.nextInFocusChain()
        reached.add(widget)
        if widget is panel:
            break
    for control in (panel.prompts.tools["box"], panel.objects.table, panel.image.window_level, panel.resume.resume):
        assert control in reached
        assert control.focusPolicy() & control.focusPolicy().TabFocus
