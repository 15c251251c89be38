"""All of a session that has to do with adapting, and the few gestures that cut across it."""

from dataclasses import dataclass
from typing import Self

from napari_medfm.errors import AdapterError, SessionError
from napari_medfm.prompts import Position
from napari_medfm.session.adapting import Adapting, Workshop
from napari_medfm.session.examples import Examples
from napari_medfm.session.filling import Filling
from napari_medfm.session.live import LiveSegmentation
from napari_medfm.session.notes import Work
from napari_medfm.session.proposals import Pending, Proposals
from napari_medfm.session.session import AnnotationSession
from napari_medfm.session.state import Extent
from napari_medfm.session.transitions import with_class
from napari_medfm.session.unfinished import Unfinished
from napari_medfm.volume import Plane


@dataclass(frozen=True, slots=True, eq=False)
class Teaching:
    """Teaching the model a class of a session.

    Attributes
    ----------
    session : AnnotationSession
        What is annotated.
    proposals : Proposals
        What is not accepted yet.
    examples : Examples
        What is learned from.
    adapting : Adapting
        Training, versions, and the switch.
    filling : Filling
        Other slices.
    unfinished : Unfinished
        What was interrupted when the program ended last.
    """

    session: AnnotationSession
    proposals: Proposals
    examples: Examples
    adapting: Adapting
    filling: Filling
    unfinished: Unfinished

    @classmethod
    def begin(
        cls, session: AnnotationSession, live: LiveSegmentation, proposals: Proposals, workshop: Workshop
    ) -> Self:
        """Make what adapting needs around a session; the class at hand is that of the active object."""
        examples = Examples(session, live, workshop.files, workshop.dispatch, workshop.library)
        adapting = Adapting(session, live, examples, workshop)
        filling = Filling(session, live, proposals, workshop)
        teaching = cls(session, proposals, examples, adapting, filling, Unfinished(session, adapting, filling))
        session.events.active_changed.connect(teaching.follow)
        teaching.follow(session.state.active)
        return teaching

    @property
    def class_name(self) -> str:
        """The class at hand; empty for none."""
        return self.examples.class_name

    def choose(self, class_name: str) -> None:
        """Turn to a class; what is being learned or filled goes on."""
        if class_name != self.class_name:
            self.adapting.choose(class_name)
            self.filling.turn_to(class_name)

    def follow(self, object_id: int | None) -> None:
        """Turn to the class of an object, if it has one."""
        thing = self.session.state.objects.get(object_id) if object_id is not None else None
        if thing is not None and thing.class_name:
            self.choose(thing.class_name)
        elif not self.class_name and self.session.state.classes:
            self.choose(self.session.state.classes[0].name)

    def name(self, class_name: str) -> None:
        """Turn to a class that may be new; the active object joins it if it has none.

        Raises
        ------
        SessionError
            The name is empty.
        """
        session, name = self.session, class_name.strip()
        if not name:
            raise SessionError("class", "cannot have an empty name", "Type a name.")
        if name not in {each.name for each in session.state.classes}:
            session.define_classes(with_class(session.state, name))
        thing = session.state.objects.get(session.state.active or 0)
        if thing is not None and thing.class_name is None:
            session.set_class(thing.id, name)
        self.choose(name)

    def pending(self, plane: Plane) -> Pending | None:
        """Return what is proposed of the class at hand on a slice; None if nobody looked there."""
        return self.proposals.slices(self.class_name).get(plane) if self.class_name else None

    def holds(self, plane: Plane) -> bool:
        """Whether anything of the class at hand is labelled on a slice."""
        members = self.session.state.members(self.class_name)
        return any(self.session.object_mask(number, plane).any() for number in members)

    def complete(self, plane: Plane) -> None:
        """Say that all of the class on a slice is labelled, together with what is proposed there.

        Raises
        ------
        MedfmError
            No class is at hand, or the session refuses the change.
        """
        if self.pending(plane) is not None:
            self.proposals.accept_slice(self.class_name, plane)
        else:
            self.session.confirm_slice(self.class_name, plane)

    def reject(self, plane: Plane) -> None:
        """Refuse what is proposed on a slice; if nothing of the class is labelled there, it counts as without it.

        Raises
        ------
        MedfmError
            No class is at hand, or the session refuses the change.
        """
        if self.holds(plane):
            self.proposals.clear(self.class_name, [plane])
        else:
            self.session.set_extent(self.class_name, [plane], Extent.NEGATIVE)

    def accept_object(self, plane: Plane, position: Position | None = None) -> None:
        """Accept the part at a (row, column), or the surest of a slice, on all slices that it hangs together over.

        Raises
        ------
        MedfmError
            Nothing is proposed there, or the session refuses the change.
        """
        pending = self.pending(plane)
        if pending is None or not pending.proposals:
            raise SessionError(
                f"slice {plane.index + 1}", "has no proposal", "Fill slices first, or go to another one."
            )
        if position is None:
            surest = max(pending.proposals, key=lambda each: each.confidence)
            row, column = (int(part[0]) for part in surest.inside.nonzero())
            position = float(surest.start[0] + row), float(surest.start[1] + column)
        self.proposals.accept_object(self.class_name, plane, position)

    def fill(self, plane: Plane, reach: range | None = None) -> None:
        """Propose the class at hand on slices, see `Filling.fill`.

        Raises
        ------
        MedfmError
            No adapter is in use, or no slice is left.
        """
        known = self.adapting.in_use
        if known is None:
            raise AdapterError(
                self.class_name or "no class", "has no adapter yet", "Adapt the model, or load a version."
            )
        self.filling.fill(self.class_name, known, plane, reach)

    def go_on(self) -> None:
        """Do again what was interrupted: learn from the chosen slices, or fill what is not labelled by now.

        Raises
        ------
        MedfmError
            It cannot be done any more, such as when the adapter is gone.
        """
        offer = self.unfinished.offer
        if offer is None:
            return
        self.choose(offer.class_name)
        if offer.work is Work.ADAPT:
            self.adapting.adapt()
        else:
            self.fill(offer.plane or Plane(), None if offer.reach is None else range(*offer.reach))
        self.unfinished.withdraw()

    def next_plane(self, after: Plane | None = None) -> Plane | None:
        """Return the slice where labelling is expected to bring most, or the next after a slice; None if unknown."""
        order = [each.plane for each in self.filling.suggestions]
        if not order:
            return None
        return order[(order.index(after) + 1) % len(order)] if after in order else order[0]

    def close(self) -> None:
        """Let go of the session; `proposals` and what is saved stay."""
        self.session.events.active_changed.disconnect(self.follow)
        for part in (self.unfinished, self.filling, self.adapting, self.examples):
            part.close()
