"""What a session tells those who show it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from psygnal import Signal, SignalGroup

from napari_medfm.prompts import PromptSet
from napari_medfm.session.state import SegmentedObject, SessionState


class SessionEvents(SignalGroup):
    """Signals of a session, emitted after the change is journaled and applied, on the owner's thread.

    Attributes
    ----------
    voxels_changed : Signal(tuple of slice)
        The box of `labels` that changed; one slice per spatial axis.
    labels_replaced : Signal(ndarray)
        `labels` is a new, wider array (an id beyond 65535): show that one instead.
    objects_changed : Signal(frozenset of int)
        Ids of the objects that were made, deleted or altered in anything but prompts.
    active_changed : Signal(int or None)
        The object that prompts and strokes go to.
    prompts_changed : Signal(int)
        Id of the object whose prompts changed.
    history_changed : Signal()
        Something was journaled: undo and redo may do something else now.
    extent_changed : Signal()
        A class was marked on some plane.
    classes_changed : Signal()
        The class list changed.
    policy_changed : Signal(CommitPolicy)
        Whose voxels may be taken changed.
    image_changed : Signal(str)
        Display name of the image that the model sees from now on.
    """

    voxels_changed = Signal(tuple)
    labels_replaced = Signal(object)
    objects_changed = Signal(frozenset)
    active_changed = Signal(object)
    prompts_changed = Signal(int)
    history_changed = Signal()
    extent_changed = Signal()
    classes_changed = Signal()
    policy_changed = Signal(object)
    image_changed = Signal(str)

    def announce(self, before: SessionState, after: SessionState, image_name: str) -> None:
        """Emit what follows from the difference between two states, the history last."""
        for number in changed_keys(before.objects, after.objects):
            old, new = before.objects.get(number), after.objects.get(number)
            if (old.prompts if old else PromptSet()) != (new.prompts if new else PromptSet()):
                self.prompts_changed.emit(number)
        altered = frozenset(altered_objects(before, after))
        if altered:
            self.objects_changed.emit(altered)
        if before.active != after.active:
            self.active_changed.emit(after.active)
        if before.extent != after.extent:
            self.extent_changed.emit()
        if before.classes != after.classes:
            self.classes_changed.emit()
        if before.policy != after.policy:
            self.policy_changed.emit(after.policy)
        if before.image != after.image:
            self.image_changed.emit(image_name)
        self.history_changed.emit()


def changed_keys(before: Mapping[int, SegmentedObject], after: Mapping[int, SegmentedObject]) -> list[int]:
    """Return the ids under which two mappings hold different objects."""
    if before is after:
        return []
    gone = [number for number in before if number not in after]
    return gone + [number for number, thing in after.items() if before.get(number) is not thing]


def altered_objects(before: SessionState, after: SessionState) -> Iterator[int]:
    """Yield the ids of objects that were made, deleted, or altered in anything but prompts."""
    for number in changed_keys(before.objects, after.objects):
        old, new = before.objects.get(number), after.objects.get(number)
        if old is None or new is None or replace(old, prompts=new.prompts) != new:
            yield number
