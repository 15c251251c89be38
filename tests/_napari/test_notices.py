"""A refusal is told once, as mildly as it deserves, and nothing else is swallowed."""

import pytest
from napari.utils.notifications import notification_manager

from napari_medfm._napari.notices import attempt, say, tell
from napari_medfm.errors import JournalError, LockedObjectError, PromptError, WriteError


@pytest.fixture
def told():
    seen = []

    def remember(notice):
        seen.append((str(notice.severity), notice.message))

    notification_manager.notification_ready.connect(remember)
    yield seen
    notification_manager.notification_ready.disconnect(remember)


@pytest.mark.parametrize(
    ("kind", "severity"),
    [(PromptError, "warning"), (LockedObjectError, "warning"), (JournalError, "error"), (WriteError, "error")],
)
def test_the_severity_fits_the_failure(told, kind, severity):
    tell(kind("liver", "is not so", "Do otherwise."))
    assert told == [(severity, "liver: is not so. Do otherwise.")]


def test_an_attempt_reports_whether_it_was_made(told):
    def refuse():
        raise LockedObjectError("liver", "is locked", "Unlock it.")

    assert attempt(list)
    assert not attempt(refuse)
    assert len(told) == 1


def test_what_nobody_expected_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        attempt(lambda: 1 / 0)


def test_good_news_is_news(told):
    say("saved")
    assert told == [("info", "saved")]
