"""Anything anybody does, in any order, with crashes in between: the session equals a plain model voxel by voxel."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from napari_medfm.errors import LockedObjectError, SessionError
from napari_medfm.prompts import Box, MaskPrompt, Point
from napari_medfm.session import AnnotationSession, CommitPolicy, Extent, ObjectClass, checkpoints, resolve, verify
from napari_medfm.volume import Plane, Volume, array_geometry

from .plain_model import PlainModel, expected_facts, facts_of

SHAPE = (3, 4, 5)
PARENTS = {"organ": None, "lesion": "organ", "core": "lesion", "vessel": None}
CLASSES = [ObjectClass(name, parent=parent) for name, parent in PARENTS.items()]
FINGERPRINT = "0f" * 32
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # thousands of events would wait for a disk

planes = st.integers(0, 2).flatmap(lambda axis: st.integers(0, SHAPE[axis] - 1).map(lambda index: Plane(axis, index)))
bits = st.integers(0, 2**20 - 1)
picks = st.integers(0, 10_000)


def bit_mask(shape, number):
    """Return a mask of some shape from the bits of a number; small numbers give small masks."""
    size = int(np.prod(shape))
    return np.array([number >> k & 1 for k in range(size)], bool).reshape(shape)


class SessionMachine(RuleBasedStateMachine):
    """Every act is done to a session and to the plain model."""

    @initialize()
    def open_image(self):
        self.folders = Path(tempfile.mkdtemp(prefix="medfm-machine-", dir=MEMORY))
        self.folder = self.folders / "0"
        self.volume = Volume(np.zeros(SHAPE, np.int16), array_geometry(SHAPE))
        self.session = AnnotationSession.create(self.volume, FINGERPRINT, folder=self.folder, classes=CLASSES)
        self.session.add_image("other", self.volume, "second")
        self.model = PlainModel(SHAPE, PARENTS, FINGERPRINT)
        self.requests = []
        self.frozen = {}

    # what a test chooses from

    def pick(self, number):
        ids = self.model.ids
        return ids[number % len(ids)]

    def has_objects(self):
        return bool(self.model.ids)

    def active(self):
        return self.model.facts["active"]

    def has_active_prompts(self):
        return self.active() is not None and bool(self.model.get(self.active(), "prompts"))

    @contextmanager
    def refused_if(self, locked):
        if locked:
            with pytest.raises(LockedObjectError):
                yield
        else:
            yield

    def both(self, locked, act, model_act):
        """Do it on both sides as one step; a locked object refuses it."""
        with self.refused_if(locked):
            act()
        if not locked:
            self.model.step(model_act)

    # objects

    @rule(kind=st.sampled_from([None, *PARENTS]))
    def make(self, kind):
        number = self.session.add_object(kind)
        self.model.step(lambda: self.model.make(kind))
        assert number in self.model.ids

    @precondition(has_objects)
    @rule(number=picks, nobody=st.booleans())
    def choose(self, number, nobody):
        number = None if nobody else self.pick(number)
        self.session.set_active(number)
        self.model.facts["active"] = number

    @precondition(has_objects)
    @rule(number=picks, name=st.sampled_from(["left", "right"]))
    def rename(self, number, name):
        number = self.pick(number)
        self.session.rename(number, name)
        self.model.step(lambda: self.model.facts.update({("name", number): name}))

    @precondition(has_objects)
    @rule(number=picks, kind=st.sampled_from([None, *PARENTS]))
    def classify(self, number, kind):
        number = self.pick(number)
        self.session.set_class(number, kind)
        self.model.step(lambda: self.model.classify(number, kind))
        self.frozen.clear()

    @precondition(has_objects)
    @rule(number=picks, on=st.booleans())
    def lock(self, number, on):
        number = self.pick(number)
        self.session.set_locked(number, on)
        self.model.step(lambda: self.model.facts.update({("locked", number): on}))

    @precondition(has_objects)
    @rule(number=picks, on=st.booleans())
    def show(self, number, on):
        number = self.pick(number)
        self.session.set_visible(number, on)
        self.model.facts["visible", number] = on

    @precondition(has_objects)
    @rule(number=picks)
    def delete(self, number):
        number = self.pick(number)
        self.both(
            self.model.locked(number), lambda: self.session.delete_object(number), lambda: self.model.drop(number)
        )

    @precondition(has_objects)
    @rule(number=picks)
    def reset(self, number):
        number = self.pick(number)
        self.both(self.model.locked(number), lambda: self.session.reset(number), lambda: self.model.reset(number))

    @precondition(has_objects)
    @rule(number=picks)
    def accept(self, number):
        number = self.pick(number)
        self.session.accept(number)
        self.model.step(lambda: self.model.accept(number))

    # prompts and answers

    def is_active_locked(self):
        return self.active() is not None and self.model.locked(self.active())

    @rule(plane=planes, place=picks, positive=st.booleans(), number=bits, waits=st.booleans())
    def click(self, plane, place, positive, number, waits):
        rows, columns = plane.shape(SHAPE)
        self.prompt(Point(plane, (float(place % rows), float(place // rows % columns)), positive))
        if not (waits or self.is_active_locked()):
            self.answer(0, number, latest=True)

    @rule(plane=planes, number=bits)
    def draw_mask(self, plane, number):
        self.prompt(MaskPrompt.from_mask(plane, bit_mask(plane.shape(SHAPE), number)))

    def prompt(self, prompt):
        self.both(
            self.is_active_locked(), lambda: self.session.add_prompt(prompt), lambda: self.model.add_prompt(prompt)
        )
        self.ask(prompt.plane)

    @precondition(has_active_prompts)
    @rule(index=picks)
    def remove_prompt(self, index):
        index %= len(self.model.get(self.active(), "prompts"))
        self.both(
            self.is_active_locked(),
            lambda: self.session.remove_prompt(index),
            lambda: self.model.remove_prompt(index),
        )

    @precondition(has_active_prompts)
    @rule(index=picks, plane=planes)
    def move_prompt(self, index, plane):
        index %= len(self.model.get(self.active(), "prompts"))
        prompt = Box(plane, (0.0, 0.0), (2.0, 2.0))
        self.both(
            self.is_active_locked(),
            lambda: self.session.move_prompt(index, prompt),
            lambda: self.model.move_prompt(index, prompt),
        )
        self.ask(plane)

    @precondition(has_objects)
    @rule(number=picks, plane=planes)
    def ask_again(self, number, plane):
        self.ask(plane, self.pick(number))

    def ask(self, plane, number=None):
        request = resolve(self.session.state, plane, object_id=number)
        if request is not None:
            self.requests.append(request)

    @precondition(lambda self: self.requests)
    @rule(which=picks, number=bits, latest=st.booleans())
    def answer(self, which, number, latest):
        request = self.requests[-1] if latest else self.requests[which % len(self.requests)]
        mask = bit_mask(request.plane.shape(SHAPE), number)
        current = self.model.is_current(request)
        before = self.session.path.stat(), self.session.history.done
        assert self.session.apply_mask(request, mask, model="plain", quality=0.5) is current
        if current:
            place = self.joined(before[1])
            redoable = bool(self.session.history.undone)
            self.model.join(lambda: self.model.answer(request.object_id, request.plane, mask), place, redoable)

    def joined(self, before):
        """Return the place of the step that grew, None if a new one was made."""
        after = self.session.history.done
        if len(after) != len(before):
            return None
        return next((k for k in range(len(after)) if after[k] != before[k]), None)

    # the hand

    @precondition(has_objects)
    @rule(number=picks, plane=planes, where=bits)
    def brush(self, number, plane, where):
        self.stroke(self.pick(number), plane, where, self.pick(number))

    @precondition(has_objects)
    @rule(plane=planes, where=bits)
    def eraser(self, plane, where):
        if self.active() is not None:
            self.stroke(0, plane, where, self.active())

    def stroke(self, value, plane, where, number):
        """Tell the session of a stroke as napari does, twice over some voxels."""
        wide = bit_mask(plane.shape(SHAPE), where).reshape(self.model.array(lambda v: 0)[plane.region(SHAPE)].shape)
        inside = np.zeros(SHAPE, bool)
        inside[plane.region(SHAPE)] = wide
        places = np.nonzero(inside)
        if not places[0].size:
            return
        indices = tuple(np.concatenate([axis, axis[:1]]) for axis in places)
        voxels = list(zip(*(axis.tolist() for axis in places), strict=True))
        act = self.model.paint if value else self.model.erase
        self.both(
            self.model.locked(number),
            lambda: self.session.record_stroke(indices, value),
            lambda: act(number, voxels),
        )

    @precondition(has_objects)
    @rule(number=picks, where=bits, add=st.booleans())
    def write(self, number, where, add):
        number = self.pick(number)
        region = (slice(0, 3), slice(1, 3), slice(1, 4))
        mask = bit_mask((3, 2, 3), where)
        voxels = [(z, y + 1, x + 1) for z, y, x in zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True)]
        act = self.model.paint if add else self.model.erase
        self.both(
            self.model.locked(number),
            lambda: self.session.write_voxels(number, region, mask, add=add),
            lambda: act(number, voxels),
        )

    # the rest

    @rule(policy=st.sampled_from(CommitPolicy))
    def choose_policy(self, policy):
        self.session.set_policy(policy)
        self.model.facts["policy"] = policy

    @rule(other=st.booleans())
    def choose_image(self, other):
        self.session.set_image("other" if other else self.volume.name)
        self.model.facts["image"] = "second" if other else FINGERPRINT

    @rule(kind=st.sampled_from(list(PARENTS)), plane=planes, extent=st.sampled_from(Extent))
    def mark(self, kind, plane, extent):
        self.session.set_extent(kind, [plane], extent)
        if self.model.facts.get(("extent", kind, plane), Extent.UNSEEN) is not extent:
            self.model.step(lambda: self.model.mark(kind, plane, extent))

    @rule(where=bits, more=bits, jump=st.integers(0, 3))
    def load_labels(self, where, more, jump):
        first = self.model.facts["next"] + jump
        values = np.zeros(SHAPE, np.int16)
        values[0] = bit_mask(SHAPE[1:], where) * first
        values[:, 1] += (bit_mask((3, 5), more) * (first + 2) * (values[:, 1] == 0)).astype(np.int16)
        self.session.import_labels(values)
        self.model.step(lambda: self.model.lay(values))

    @precondition(lambda self: self.model.done)
    @rule()
    def undo(self):
        assert self.session.undo()
        self.model.undo()
        self.frozen.clear()

    @precondition(lambda self: self.model.undone)
    @rule()
    def redo(self):
        assert self.session.redo()
        self.model.redo()
        self.frozen.clear()

    @rule()
    def reopen(self):
        self.session.close()
        self.resume(self.folder)

    @rule()
    def crash(self):
        """Go on from the files as they lie there while the session is open: what a power cut leaves."""
        folder = self.folders / str(int(self.folder.name) + 1)
        shutil.copytree(self.folder, folder)
        self.session.close()
        self.resume(folder)

    def resume(self, folder):
        self.folder = folder
        self.session = AnnotationSession.resume(self.volume, FINGERPRINT, folder)
        self.session.add_image("other", self.volume, "second")

    # what must hold

    @invariant()
    def is_what_the_plain_model_is(self):
        if not hasattr(self, "session"):
            return
        session, model = self.session, self.model
        np.testing.assert_array_equal(session.labels, model.level(0))
        np.testing.assert_array_equal(session.beneath, model.level(1))
        np.testing.assert_array_equal(session.hand, model.array(model.hand))
        assert facts_of(session.state) == expected_facts(model)
        assert len(session.history.done) == len(model.done)
        assert len(session.history.undone) == len(model.undone)

    @invariant()
    def counts_without_scanning(self):
        for number in self.model.ids if hasattr(self, "model") else ():
            voxels = self.model.mask(number)
            assert self.session.voxel_count(number) == len(voxels)
            box = self.session.bounding_box(number)
            corners = box and tuple((part.start, part.stop) for part in box)
            assert corners == (tuple((min(axis), max(axis) + 1) for axis in zip(*voxels, strict=True)) or None)

    @invariant()
    def never_touches_what_is_locked(self):
        if not hasattr(self, "model"):
            return
        locked = {number: self.model.mask(number) for number in self.model.ids if self.model.locked(number)}
        for number, mask in self.frozen.items():
            assert locked.get(number, mask) == mask
        self.frozen = locked

    def teardown(self):
        if not hasattr(self, "session"):
            return
        while self.model.done:
            self.undo()
        self.is_what_the_plain_model_is()
        while self.model.undone:
            self.redo()
        self.is_what_the_plain_model_is()
        report = verify(self.session.path)
        assert report.intact, report.reason
        self.session.close()
        shutil.rmtree(self.folders)


@pytest.mark.parametrize("lag", [2, 1000])
def test_a_session_equals_a_plain_model_through_anything(monkeypatch, lag):
    monkeypatch.setattr(checkpoints, "LAG", lag)  # checkpoints all the time, or never
    monkeypatch.setattr(checkpoints, "SIDE", 2)  # several blocks even in a small image
    run_state_machine_as_test(
        SessionMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.generate],  # shrinking takes minutes: add it by hand when hunting a fault
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_session_errors_are_of_the_session():
    assert issubclass(LockedObjectError, SessionError)
