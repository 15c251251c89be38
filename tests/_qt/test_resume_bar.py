"""Resuming an earlier session."""

from datetime import datetime

import pytest

from napari_medfm._qt.resume_bar import ResumeBar

pytestmark = pytest.mark.qt


@pytest.fixture
def bar(qtbot):
    bar = ResumeBar()
    qtbot.addWidget(bar)
    bar.show()
    return bar


def test_nothing_is_shown_until_there_is_something_to_say(bar):
    assert not bar.offer.isVisible()
    assert not bar.read_only.isVisible()


@pytest.mark.parametrize(("objects", "words"), [(1, "1 object,"), (3, "3 objects,")])
def test_the_offer_names_how_much_there_is_and_from_when(bar, objects, words):
    bar.offer_resume(objects, datetime(2026, 11, 5, 14, 7))
    assert bar.offer.text == f"An earlier session on this image was found ({words} 05 November 2026, 14:07)."


@pytest.mark.parametrize("resume", [True, False])
def test_an_answer_is_told_once_and_ends_the_offer(bar, resume):
    answers = []
    bar.answered.connect(answers.append)
    bar.offer_resume(2, datetime(2026, 11, 5))
    (bar.resume if resume else bar.anew).click()
    assert answers == [resume]
    assert not bar.offer.isVisible()


def test_starting_anew_promises_that_nothing_is_deleted(bar):
    assert "kept, not deleted" in bar.anew.toolTip()


def test_the_read_only_notice_comes_and_goes(bar):
    bar.show_read_only("Another program holds this session.")
    assert bar.read_only.isVisible()
    bar.show_read_only("")
    assert not bar.read_only.isVisible()
