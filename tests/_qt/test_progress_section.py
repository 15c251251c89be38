"""Embedding, answers, and that everything is saved."""

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_medfm._qt.progress_section import ProgressSection, describe_progress, describe_saved, describe_seconds
from napari_medfm.inference import EmbeddingProgress, Predictor
from napari_medfm.models import load_model
from napari_medfm.models.backends.vista3d import Vista3d, build_small_vista3d
from napari_medfm.session import AnnotationSession, LiveSegmentation
from napari_medfm.volume import WHOLE, Plane
from napari_medfm.workers import Lane

pytestmark = pytest.mark.qt


@pytest.fixture
def section(qtbot, session, wiring):
    section = ProgressSection()
    qtbot.addWidget(section)
    section.bind(session, None, wiring)
    section.show()
    return section


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.4, "59 s"), (90, "2 min"), (3599, "60 min"), (5400, "1.5 h")]
)
def test_a_duration_is_told_in_the_unit_that_matters(seconds, words):
    assert describe_seconds(seconds) == words


def test_progress_is_told_with_counts_and_time_left():
    progress = EmbeddingProgress(123, 300, Plane(0, 5), 12.3)
    assert describe_progress(progress, under_way=True) == "123 of 300 slices · 12 s left"
    assert describe_progress(progress, under_way=False) == "123 of 300 slices prepared"


def test_the_bar_follows_the_embedding_and_keeps_the_counts_when_it_ends(section):
    section.show_progress(EmbeddingProgress(3, 12, Plane(0, 5), 1))
    assert (section.bar.value(), section.bar.maximum()) == (3, 12)
    section.show_progress(None)
    assert section.bar.value() == 3
    assert section.bar.text() == "3 of 12 slices prepared"


def test_one_button_starts_and_pauses_the_embedding(section):
    told = []
    section.embed_all_requested.connect(lambda: told.append("start"))
    section.cancel_embedding_requested.connect(lambda: told.append("stop"))
    section.embed.click()
    section.show_progress(EmbeddingProgress(3, 12, Plane(0, 5), 1))
    assert section.embed.text() == "Pause"
    section.embed.click()
    section.show_progress(None)
    assert section.embed.text() == "Go on preparing"
    section.embed.click()
    assert told == ["start", "stop", "start"]


def test_exporting_and_opening_labels_are_intents(qtbot, section):
    with qtbot.waitSignal(section.save_requested):
        section.save.click()
    with qtbot.waitSignal(section.labels_import_requested):
        section.load.click()


def test_a_model_of_volumes_prepares_no_slices_and_calls_its_quality_what_it_is(qtbot, session, wiring):
    with Lane() as lane:
        live = LiveSegmentation(session, Predictor(load_model("random_walker")), lane)
        section = ProgressSection()
        qtbot.addWidget(section)
        section.bind(session, live, wiring)
        live.events.applied.emit(1, Plane(0, 3), 0.9, 0.123)
        assert section.answer.text() == "Answered in 123 ms · expected overlap 90%"
        section.show_progress(EmbeddingProgress(3, 12, Plane(0, 5), 1))
        live.set_predictor(Predictor(Vista3d(build_small_vista3d(), side=32, device="cpu")))
        assert not section.embed.isEnabled()
        assert "not slices" in section.embed.toolTip()
        assert section.bar.text() == "Regions are prepared where you click"
        live.events.applied.emit(1, WHOLE, 0.9, 2.34)
        assert section.answer.text() == "Answered in 2.3 s · mean probability 90%"
        live.set_predictor(Predictor(load_model("random_walker")))
        assert section.embed.isEnabled()
        assert section.bar.text() == "Slices are prepared as you go"
        live.close()


def test_that_a_region_is_being_looked_at_is_told_until_it_is_answered(qtbot, session, wiring):
    with Lane() as lane:
        live = LiveSegmentation(session, Predictor(load_model("random_walker")), lane)
        section = ProgressSection()
        qtbot.addWidget(section)
        section.bind(session, live, wiring)
        live.events.busy_changed.emit(True)
        live.events.preparing.emit(0.423)
        assert section.answer.text() == "Looking at the region: 42%"
        live.events.busy_changed.emit(False)
        assert section.answer.text() == "No prediction yet"
        live.close()


def test_every_step_is_told_to_be_saved_and_its_age_is_kept_true(section, session):
    assert section.saved.text() == "Everything is saved"
    session.add_object()
    assert section.saved.text() == "Everything is saved; last step 0 s ago"
    assert describe_saved(session, 75) == "Everything is saved; last step 1 min ago"


def test_a_read_only_session_saves_nothing_and_says_so(session):
    with AnnotationSession.resume(session.volume, session.fingerprint, session.path.parent) as other:
        assert describe_saved(other, None) == "Read-only: nothing is being changed"


def test_the_clock_rests_while_nobody_looks(section):
    clock = section.findChild(QTimer)
    assert clock.isActive()
    section.hide()
    assert not clock.isActive()


def test_unbound_it_forgets_everything(section, session, wiring):
    section.show_progress(EmbeddingProgress(3, 12, Plane(0, 5), 1))
    session.add_object()
    wiring.release()
    section.unbind()
    assert section.saved.text() == ""
    assert section.bar.value() == 0
    assert not section.save.isEnabled()
    session.write_voxels(1, (slice(0, 1),) * 3, np.ones((1, 1, 1), bool))
    assert section.saved.text() == ""
