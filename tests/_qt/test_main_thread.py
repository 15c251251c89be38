"""The hop to the thread of the interface."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QThread

from napari_medfm._qt.main_thread import MainThreadDispatcher

pytestmark = pytest.mark.qt


def call_from_thread(*calls):
    """Make calls on a thread of their own, one after the other, and wait for it to end."""

    def run():
        for call in calls:
            call()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_a_callback_from_another_thread_runs_in_the_interfaces_thread(qtbot):
    dispatch, seen = MainThreadDispatcher(), []
    call_from_thread(lambda: dispatch(lambda: seen.append(QThread.currentThread())))
    assert seen == []
    qtbot.waitUntil(lambda: len(seen) == 1)
    assert seen == [QCoreApplication.instance().thread()]


def test_callbacks_run_in_the_order_they_were_handed_over(qtbot):
    dispatch, seen = MainThreadDispatcher(), []
    call_from_thread(*(lambda number=number: dispatch(lambda: seen.append(number)) for number in range(200)))
    qtbot.waitUntil(lambda: len(seen) == 200)
    assert seen == list(range(200))


def test_a_callback_is_queued_even_from_the_interfaces_own_thread(qtbot):
    dispatch, seen = MainThreadDispatcher(), []
    dispatch(lambda: seen.append(1))
    assert seen == []
    qtbot.waitUntil(lambda: seen == [1])


def test_a_dispatcher_made_on_another_thread_still_reaches_the_interface(qtbot):
    made, seen = [], []
    call_from_thread(
        lambda: made.append(MainThreadDispatcher()),
        lambda: made[0](lambda: seen.append(QThread.currentThread())),
    )
    qtbot.waitUntil(lambda: len(seen) == 1)
    assert seen == [QCoreApplication.instance().thread()]


def test_after_closing_what_was_queued_and_what_comes_later_is_dropped(qtbot):
    dispatch, after, seen = MainThreadDispatcher(), MainThreadDispatcher(), []
    dispatch(lambda: seen.append("queued"))
    dispatch.close()
    call_from_thread(lambda: dispatch(lambda: seen.append("late")))
    after(lambda: seen.append("after"))
    qtbot.waitUntil(lambda: "after" in seen)
    assert seen == ["after"]


def test_calling_after_qt_deleted_it_is_harmless(qtbot):
    owner, seen = QObject(), []
    dispatch = MainThreadDispatcher(owner)
    owner.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    call_from_thread(lambda: dispatch(lambda: seen.append(1)))
    qtbot.wait(0)
    assert seen == []


def test_a_callback_that_ran_is_not_kept_alive(qtbot):
    class Callback:
        def __call__(self):
            seen.append(1)

    dispatch, seen, callback = MainThreadDispatcher(), [], Callback()
    reference = weakref.ref(callback)
    dispatch(callback)
    qtbot.waitUntil(lambda: seen == [1])
    del callback
    gc.collect()
    assert reference() is None


def test_importing_and_making_one_needs_no_application():
    code = (
        "from napari_medfm._qt.main_thread import MainThreadDispatcher; MainThreadDispatcher()(lambda: print('never'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
