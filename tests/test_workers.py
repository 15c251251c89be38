import logging
import random
import subprocess
import sys
import threading
import weakref
from concurrent import futures
from queue import Empty, SimpleQueue

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medfm.errors import MedfmError
from napari_medfm.workers import Lane, Latest, Priority, call_now

SOON = 20  # seconds: far beyond what anything here takes


@pytest.fixture
def lane():
    with Lane() as lane:
        yield lane


class Gate:
    """A task that holds the lane until it is opened."""

    def __init__(self, lane):
        self.entered, self._opened = threading.Event(), threading.Event()
        self.future = lane.submit(self._hold)
        assert self.entered.wait(SOON)

    def _hold(self):
        self.entered.set()
        assert self._opened.wait(SOON)

    def open(self):
        self._opened.set()


class Steps:
    """A generator of numbers that remembers what was done to it, and on which thread it was closed."""

    def __init__(self, count, log=None, *names):
        self.taken = [] if log is None else log
        self.closed_on = []
        self.generator = self._run(count, names)

    def _run(self, count, names):
        try:
            for number in range(count):
                self.taken.append((*names, number) if names else number)
                yield number
        finally:
            self.closed_on.append(threading.current_thread())


def test_a_task_answers_through_its_future(lane):
    assert lane.submit(lambda: 6 * 7).result(SOON) == 42


def test_everything_runs_on_one_daemon_thread_that_carries_the_lanes_name(lane):
    threads = {lane.submit(threading.current_thread).result(SOON) for _ in range(5)}
    lane.submit_steps(iter([1, 2]), on_step=lambda _: threads.add(threading.current_thread())).result(SOON)
    (thread,) = threads
    assert thread.daemon
    assert thread.name == "medfm-device"
    assert thread is not threading.current_thread()


def test_the_most_urgent_goes_first_and_equals_go_in_order(lane):
    gate, ran = Gate(lane), []
    for number, priority in enumerate([*reversed(Priority), *Priority]):
        lane.submit(lambda entry=(priority, number): ran.append(entry), priority=priority)
    gate.open()
    assert lane.wait_idle(SOON)
    assert ran == sorted(ran)
    assert len(ran) == 12


def test_a_failure_belongs_to_the_future_and_the_lane_goes_on(lane):
    with pytest.raises(ZeroDivisionError):
        lane.submit(lambda: 1 / 0).result(SOON)
    with pytest.raises(SystemExit):
        lane.submit(sys.exit).result(SOON)
    assert lane.submit(lambda: "alive").result(SOON) == "alive"


def test_a_failure_is_logged_by_type_and_place_only(lane, caplog):
    def fail():
        raise ValueError("DOE^JANE 1970-01-01")

    lane.submit_steps(fail() for _ in range(1))
    assert lane.wait_idle(SOON)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "ValueError in test_workers.py" in record.getMessage()
    assert "DOE" not in caplog.text


def test_a_callback_that_fails_does_not_stop_the_lane(lane, caplog):
    gate = Gate(lane)
    future = lane.submit(lambda: 1)
    future.add_done_callback(lambda _: 1 / 0)
    gate.open()
    assert lane.submit(lambda: 2).result(SOON) == 2


def test_only_the_newest_waiting_task_of_a_channel_runs(lane):
    gate, ran = Gate(lane), []
    hovers = [lane.submit(lambda n=n: ran.append(n), priority=Priority.HOVER, channel="hover") for n in range(50)]
    gate.open()
    assert lane.wait_idle(SOON)
    assert ran == [49]
    assert [future.cancelled() for future in hovers] == [True] * 49 + [False]


def test_a_task_that_already_runs_is_let_finish_when_a_newer_one_comes(lane):
    entered, go_on = threading.Event(), threading.Event()

    def slow():
        entered.set()
        assert go_on.wait(SOON)
        return "old"

    old = lane.submit(slow, channel="hover")
    assert entered.wait(SOON)
    new = lane.submit(lambda: "new", channel="hover")
    go_on.set()
    assert (old.result(SOON), new.result(SOON)) == ("old", "new")


def test_channels_do_not_disturb_each_other_and_no_channel_is_none(lane):
    gate, ran = Gate(lane), []
    for name in ("a", "b", "", ""):
        lane.submit(lambda name=name: ran.append(name), channel=name)
    gate.open()
    assert lane.wait_idle(SOON)
    assert ran == ["a", "b", "", ""]


def test_a_channel_can_be_cancelled(lane):
    gate, ran = Gate(lane), []
    future = lane.submit(lambda: ran.append(1), channel="hover")
    assert lane.cancel("hover")
    assert not lane.cancel("hover")
    assert not lane.cancel("never used")
    gate.open()
    assert lane.wait_idle(SOON)
    assert future.cancelled()
    assert not ran


def test_those_who_wait_for_a_cancelled_task_are_told(lane):
    gate = Gate(lane)
    future = lane.submit(lambda: 1)
    future.cancel()
    gate.open()
    done, waiting = futures.wait([future], SOON)
    assert done == {future}
    assert not waiting


def test_steps_come_one_by_one_and_end_the_future(lane):
    steps, seen = Steps(4), []
    assert lane.submit_steps(steps.generator, on_step=seen.append).result(SOON) is None
    assert seen == steps.taken == [0, 1, 2, 3]


def test_whatever_is_more_urgent_runs_between_two_steps(lane):
    log, answers = [], []

    def ask(number):
        if number == 1:
            answers.append(lane.submit(lambda: log.append("click")))
            answers.append(lane.submit_steps(Steps(2, log).generator, priority=Priority.VISIBLE))

    lane.submit_steps(Steps(4, log).generator, on_step=ask).result(SOON)
    assert log == [0, 1, "click", 0, 1, 2, 3]
    assert all(answer.done() for answer in answers)


def test_of_equally_urgent_steps_the_older_are_finished_first(lane):
    gate, log = Gate(lane), []
    for name in "ab":
        lane.submit_steps(Steps(3, log, name).generator)
    gate.open()
    assert lane.wait_idle(SOON)
    assert log == [(name, number) for name in "ab" for number in range(3)]


@pytest.mark.parametrize("by", ["future", "channel", "newer"])
def test_cancelled_steps_stop_between_two_and_are_closed_on_the_lane(lane, by):
    steps, seen = Steps(1_000_000), []
    third = threading.Event()

    def look(number):
        seen.append(number)
        if number == 2:
            third.set()
            assert cancelled.wait(SOON)

    cancelled = threading.Event()
    future = lane.submit_steps(steps.generator, channel="embedding", on_step=look)
    assert third.wait(SOON)
    stop = {
        "future": future.cancel,
        "channel": lambda: lane.cancel("embedding"),
        "newer": lambda: lane.submit_steps(iter(()), channel="embedding"),
    }[by]
    assert stop()
    cancelled.set()
    assert lane.wait_idle(SOON)
    assert future.cancelled()
    assert seen == steps.taken == [0, 1, 2]
    assert steps.closed_on == [lane.submit(threading.current_thread).result(SOON)]


def test_a_step_that_was_under_way_when_cancelled_is_not_reported(lane):
    seen = []

    def steps():
        yield "before"
        future.cancel()
        yield "after"

    gate = Gate(lane)
    future = lane.submit_steps(steps(), on_step=seen.append)
    gate.open()
    assert lane.wait_idle(SOON)
    assert seen == ["before"]


def test_steps_that_were_never_begun_are_closed_too(lane):
    gate, steps = Gate(lane), Steps(3)
    next(steps.generator)
    lane.submit_steps(steps.generator).cancel()
    gate.open()
    assert lane.wait_idle(SOON)
    assert len(steps.closed_on) == 1


@pytest.mark.parametrize("where", ["step", "on_step"])
def test_steps_that_fail_are_closed_and_tell_the_future(lane, where):
    closed = []

    def steps():
        try:
            yield 1
            yield 1 / (where != "step")
        finally:
            closed.append(True)

    def look(number):
        assert where == "step" or number == 0

    with pytest.raises((ZeroDivisionError, AssertionError)):
        lane.submit_steps(steps(), on_step=look).result(SOON)
    assert lane.wait_idle(SOON)
    assert closed == [True]


def test_steps_that_fail_while_closing_stop_nobody_else(lane, caplog):
    def steps():
        try:
            yield 1
            yield 2
        finally:
            raise OSError

    future = lane.submit_steps(steps(), on_step=lambda _: future_known.wait(SOON) and future.cancel())
    future_known = threading.Event()
    future_known.set()
    assert lane.wait_idle(SOON)
    assert future.cancelled()
    assert "OSError" in caplog.text
    assert lane.submit(lambda: 3).result(SOON) == 3


def test_iterators_that_cannot_be_closed_are_steps_as_well(lane):
    seen = []
    lane.submit_steps(iter([1, 2, 3]), on_step=seen.append).result(SOON)
    assert seen == [1, 2, 3]


def test_the_initializer_runs_first_and_on_the_thread():
    order = []
    with Lane(initializer=lambda: order.append(threading.current_thread())) as lane:
        order.append(lane.submit(threading.current_thread).result(SOON))
    assert order[0] is order[1]


def test_if_the_initializer_fails_every_task_says_so(caplog):
    def prepare():
        raise OSError("/home/jane doe/driver")

    steps = Steps(2)
    with Lane("gpu", initializer=prepare) as lane:
        asked = [lane.submit(lambda: 1), lane.submit_steps(steps.generator)]
        errors = [future.exception(SOON) for future in asked]
    assert all(isinstance(error, MedfmError) for error in errors)
    assert str(errors[0]).startswith("gpu: could not be prepared (OSError).")
    assert isinstance(errors[0].__cause__, OSError)
    assert not steps.taken
    assert "doe" not in caplog.text


def test_waiting_for_idleness_gives_up_in_time(lane):
    gate = Gate(lane)
    assert not lane.wait_idle(0.01)
    gate.open()
    assert lane.wait_idle(SOON)


def test_closing_cancels_what_waits_finishes_what_runs_and_ends_the_thread():
    lane = Lane()
    thread = lane.submit(threading.current_thread).result(SOON)
    steps, stepped = Steps(1_000_000), threading.Event()
    stepping = lane.submit_steps(steps.generator, on_step=lambda _: stepped.set())
    assert stepped.wait(SOON)
    gate = Gate(lane)
    waiting = lane.submit(lambda: 1)
    lane.close(wait=False)
    assert waiting.cancelled()
    assert thread.is_alive()
    gate.open()
    lane.close()
    assert not thread.is_alive()
    assert gate.future.done()
    assert not gate.future.cancelled()
    assert stepping.cancelled()
    assert steps.closed_on == [thread]
    assert lane.wait_idle(SOON)


def test_a_closed_lane_takes_nothing_more(lane):
    lane.close()
    with pytest.raises(RuntimeError, match="device lane is closed"):
        lane.submit(lambda: 1)
    with pytest.raises(RuntimeError, match="closed"):
        lane.submit_steps(iter(()))


def test_a_lane_can_be_closed_from_its_own_thread(lane):
    lane.submit(lane.close).result(SOON)
    lane.close()


def run_program(script):
    """Run a Python program that imports everything it needs, and return what it printed."""
    program = "import itertools, threading\nfrom napari_medfm.workers import Lane\n" + script
    done = subprocess.run([sys.executable, "-c", program], timeout=SOON, check=True, capture_output=True, text=True)
    assert not done.stderr
    return done.stdout


def test_a_program_ends_although_a_lane_is_busy():
    stdout = run_program("""
stepped = threading.Event()
lane = Lane()
lane.submit_steps(itertools.count(), on_step=lambda _: stepped.set())
assert stepped.wait(20)
print("end")
""")
    assert stdout == "end\n"


def test_a_program_lets_the_running_task_finish_before_it_ends():
    stdout = run_program("""
begun = threading.Event()
def task():
    begun.set()
    threading.Event().wait(0.3)
    print("finished")
lane = Lane()
lane.submit(task)
lane.submit(lambda: print("never begun"))
assert begun.wait(20)
lane.close(wait=False)
""")
    assert stdout == "finished\n"


def test_the_lane_keeps_no_hold_of_what_it_has_done(lane):
    class Embedding:
        pass

    embedding = lane.submit(Embedding).result(SOON)
    ghost = weakref.ref(embedding)
    assert lane.wait_idle(SOON)
    del embedding
    assert ghost() is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Priority), st.sampled_from(["", "", "a", "b"]), st.integers(0, 3))))
def test_any_mixture_of_work_is_done_in_order_of_urgency(entries):
    ran = []
    newest = {channel: number for number, (_, channel, _) in enumerate(entries) if channel}
    with Lane() as lane:
        gate = Gate(lane)
        for number, (priority, channel, steps) in enumerate(entries):
            if steps:
                work = Steps(steps, ran, priority, number)
                lane.submit_steps(work.generator, priority=priority, channel=channel)
            else:
                lane.submit(lambda e=(priority, number, 0): ran.append(e), priority=priority, channel=channel)
        gate.open()
        assert lane.wait_idle(SOON)
    assert ran == sorted(
        (priority, number, step)
        for number, (priority, channel, steps) in enumerate(entries)
        for step in range(max(steps, 1))
        if newest.get(channel, number) == number
    )


def test_threads_that_submit_and_cancel_at_once_lose_nothing(lane):
    def submit(seed):
        chance, done = random.Random(seed), []
        for number in range(300):
            steps = Steps(chance.randrange(4))
            kind = chance.randrange(3)
            channel = chance.choice(["", f"own {seed}", "shared"])
            priority = chance.choice(list(Priority))
            if kind == 0:
                done.append((lane.submit(lambda n=number: n, priority=priority, channel=channel), number, None))
            else:
                next(steps.generator, None)  # begun, so that being closed shows
                future = lane.submit_steps(steps.generator, priority=priority, channel=channel)
                done.append((future, None, steps))
            if chance.random() < 0.2:
                done[-1][0].cancel()
        return done

    with futures.ThreadPoolExecutor(4) as pool:
        asked = [entry for done in pool.map(submit, range(4)) for entry in done]
    assert lane.wait_idle(SOON)
    for future, answer, steps in asked:
        assert future.done()
        assert future.cancelled() or future.result() == answer
        assert steps is None or len(steps.closed_on) == 1


class Owner:
    """State that only this thread may change, and the queue that brings answers to it."""

    def __init__(self, lane):
        self.inbox = SimpleQueue()
        self.latest = Latest(lane, self.inbox.put)

    def deliver(self, most=sys.maxsize):
        """Run up to `most` callbacks that have arrived; return how many there were."""
        for number in range(most):
            try:
                self.inbox.get_nowait()()
            except Empty:
                return number
        return most

    def deliver_next(self):
        self.inbox.get(timeout=SOON)()


def test_the_latest_question_is_answered_on_the_owners_thread(lane):
    owner, answers = Owner(lane), []
    owner.latest.ask(lambda: 7, lambda answer: answers.append((answer, threading.current_thread())))
    assert owner.latest.waiting
    owner.deliver_next()
    assert answers == [(7, threading.current_thread())]
    assert not owner.latest.waiting


def test_an_earlier_question_is_not_even_begun(lane):
    owner, ran, answers = Owner(lane), [], []
    gate = Gate(lane)
    for number in range(3):
        owner.latest.ask(lambda n=number: ran.append(n) or n, answers.append)
    gate.open()
    assert lane.wait_idle(SOON)
    owner.deliver()
    assert ran == answers == [2]


def test_an_answer_that_has_arrived_is_still_dropped_if_the_owner_asks_again(lane):
    owner, answers = Owner(lane), []
    owner.latest.ask(lambda: "old", answers.append)
    assert lane.wait_idle(SOON)
    owner.latest.ask(lambda: "new", answers.append)
    assert lane.wait_idle(SOON)
    assert owner.deliver() == 2
    assert answers == ["new"]


def test_a_forgotten_question_is_never_answered(lane):
    owner, answers = Owner(lane), []
    owner.latest.ask(lambda: 1, answers.append, answers.append)
    assert lane.wait_idle(SOON)
    owner.latest.forget()
    owner.deliver()
    assert not answers
    assert not owner.latest.waiting


def test_a_failure_is_an_answer_too(lane):
    owner, errors = Owner(lane), []
    owner.latest.ask(lambda: 1 / 0, lambda _: None, errors.append)
    owner.deliver_next()
    assert isinstance(errors[0], ZeroDivisionError)
    owner.latest.ask(lambda: 1 / 0, lambda _: None)  # nobody to tell: dropped, and logged by the lane
    owner.deliver_next()
    assert not owner.latest.waiting


def test_a_question_ends_without_an_answer_when_the_lane_is_closed(lane):
    owner, answers = Owner(lane), []
    gate = Gate(lane)
    owner.latest.ask(lambda: 1, answers.append, answers.append)
    lane.close(wait=False)
    gate.open()
    lane.close()
    owner.deliver()
    assert not answers
    assert not owner.latest.waiting


def test_code_without_an_event_loop_gets_the_answer_at_once(lane):
    answers, arrived = [], threading.Event()
    latest = Latest(lane, call_now)
    latest.ask(lambda: 5, lambda answer: (answers.append(answer), arrived.set()))
    assert arrived.wait(SOON)
    assert answers == [5]


class Asker(Owner):
    """Asks numbered questions, changes its mind, and notes every answer that is not the one it waits for."""

    def __init__(self, lane, chance):
        super().__init__(lane)
        self.chance, self.delay = chance, threading.Event()
        self.asked = None
        self.applied = self.stale = 0
        self.misapplied = []

    def ask(self, question):
        self.asked = question
        seconds = self.chance.choice([0, 0, 0, 1e-5, 1e-4])
        self.latest.ask(lambda: self.work(question, seconds), lambda answer: self.apply(question, answer))

    def work(self, question, seconds):
        if seconds:
            self.delay.wait(seconds)
        return question

    def apply(self, question, answer):
        self.applied += 1
        if not question == answer == self.asked:
            self.misapplied.append((question, answer, self.asked))

    def act(self):
        mind = self.chance.random()
        if mind < 0.05:
            self.latest.forget()
            self.asked = None
        elif mind < 0.3:
            self.count(lambda: self.deliver(self.chance.randrange(1, 4)))
        elif mind < 0.6:
            self.count(self.wait)

    def wait(self):
        arrived = 0
        while self.latest.waiting:
            self.deliver_next()
            arrived += 1
        return arrived

    def count(self, receive):
        before = self.applied
        self.stale += receive() - (self.applied - before)


def test_of_ten_thousand_questions_under_random_delays_none_is_misapplied(lane):
    chance, pause = random.Random(20240229), threading.Event()
    askers = [Asker(lane, chance) for _ in range(3)]
    background = lane.submit_steps(pause.wait(1e-5) for _ in iter(int, 1))
    for number in range(10_000):
        asker = chance.choice(askers)
        asker.ask(number)
        asker.act()
    background.cancel()
    assert lane.wait_idle(SOON)
    for asker in askers:
        asker.count(asker.deliver)
        assert asker.misapplied == []
        assert asker.applied > 500
        assert asker.stale > 500  # outdated ones came back, and were dropped
        assert not asker.latest.waiting
