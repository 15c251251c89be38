"""The annotation session: the only mutable owner of what a person did to one image."""

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_medfm.errors import MedfmError, SessionError
from napari_medfm.files import sha256_file
from napari_medfm.inference import Proposal
from napari_medfm.prompts import Prompt
from napari_medfm.session import drafts, growth, opening, strokes, transitions
from napari_medfm.session.classes import read_classes
from napari_medfm.session.events import SessionEvents
from napari_medfm.session.growth import Origin, Target
from napari_medfm.session.history import History
from napari_medfm.session.ledger import NO_STEP, Draft, Ledger, Outcome
from napari_medfm.session.patches import bounds
from napari_medfm.session.plans import Plan, Work, authorship, worked_out
from napari_medfm.session.request import PredictionRequest
from napari_medfm.session.shaping import Shaping, SliceChange
from napari_medfm.session.state import CommitPolicy, Extent, ObjectClass, SessionState
from napari_medfm.session.voxels import Labels, frozen
from napari_medfm.volume import Plane, Region, Volume, write_labels

T = TypeVar("T")


class AnnotationSession:
    """Objects, prompts and voxels of one image, journaled before they change.

    When a method that changes something returns, the change survives a power loss;
    when it raises, nothing has changed. To be used from one thread. Begin with
    `create` or `resume`, end with `close`.

    Attributes
    ----------
    events : SessionEvents
        Signals, emitted after a change.
    volume : Volume
        The image that names the session.
    fingerprint : str
        Of that image.
    """

    def __init__(self, volume: Volume, fingerprint: str, ledger: Ledger, hold: opening.Hold) -> None:
        self.events = SessionEvents()
        self.volume = volume
        self.fingerprint = fingerprint
        self._ledger = ledger
        self._hold = hold
        self._images = {volume.name: (fingerprint, volume)}
        self._owner = threading.get_ident()
        self._closed = False

    @classmethod
    def create(
        cls,
        volume: Volume,
        fingerprint: str,
        *,
        folder: Path | None = None,
        classes: Sequence[ObjectClass] = (),
        annotator: str = "",
    ) -> Self:
        """Start a session of an image that has none.

        Parameters
        ----------
        volume : Volume
            The image.
        fingerprint : str
            Of its voxels, see `napari_medfm.volume.fingerprint`.
        folder : Path, optional
            Where the journal is kept; the person's own sessions folder if not given.
        classes : sequence of ObjectClass
            The class list.
        annotator : str
            Who annotates; written to every event.

        Raises
        ------
        JournalError
            There is a journal already, or it cannot be written.
        JournalBusyError
            Another session holds it.
        """
        ledger, hold = opening.create(volume, fingerprint, folder, tuple(classes), annotator)
        return cls(volume, fingerprint, ledger, hold)

    @classmethod
    def resume(
        cls, volume: Volume, fingerprint: str, folder: Path | None = None, *, annotator: str = "", look: bool = False
    ) -> Self:
        """Go on exactly where the last session of an image ended, however it ended.

        If another session writes the journal, this one is read-only and stays at what was
        written when it was opened.

        Parameters
        ----------
        volume, fingerprint, folder, annotator
            As in `create`.
        look : bool
            Whether it shall be read-only in any case; others may write then.

        Raises
        ------
        JournalError
            There is no journal, or it is of another image.
        JournalDamagedError
            It was altered or damaged; see `napari_medfm.session.recover`.
        GeometryError
            The image has the same voxels but lies elsewhere.
        """
        ledger, hold = opening.resume(volume, fingerprint, folder, annotator, look=look)
        return cls(volume, fingerprint, ledger, hold)

    @staticmethod
    def exists(fingerprint: str, folder: Path | None = None) -> bool:
        """Whether there is a journal to resume."""
        return opening.journal_path(fingerprint, folder).is_file()

    def close(self) -> None:
        """End the session and let others write the journal; nothing has to be saved. May be called twice."""
        if self._closed:
            return
        self._check_thread()
        self._closed = True
        opening.close(self._ledger, self._hold)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def state(self) -> SessionState:
        """Objects, classes, extent and choices, frozen."""
        return self._ledger.state

    @property
    def labels(self) -> Labels:
        """The label volume, read-only.

        A layer shows a copy of it: napari's brush writes into what it shows, and a model may
        answer while the brush is down, which must find the voxels as they were journaled.
        """
        return frozen(self._ledger.voxels.labels)

    @property
    def beneath(self) -> Labels:
        """The label that comes back where the visible object gives a voxel up; read-only."""
        return frozen(self._ledger.voxels.beneath)

    @property
    def hand(self) -> NDArray[np.int32]:
        """Hand marks: ``+id`` painted for an object, ``-id`` erased from it; read-only."""
        return frozen(self._ledger.voxels.hand)

    @property
    def images(self) -> Mapping[str, Volume]:
        """The images over the one label volume, by display name, that of the session first."""
        return MappingProxyType({name: volume for name, (_, volume) in self._images.items()})

    @property
    def image_name(self) -> str | None:
        """Display name of the image that the model sees; None if it has to be opened again."""
        return next((name for name, (known, _) in self._images.items() if known == self.state.image), None)

    @property
    def image(self) -> Volume | None:
        """The image that the model sees; None if it has to be opened again."""
        name = self.image_name
        return None if name is None else self._images[name][1]

    @property
    def history(self) -> History:
        """Steps that can be undone and redone; not to be written."""
        return self._ledger.history

    @property
    def path(self) -> Path:
        """The journal."""
        return self._ledger.journal.path

    @property
    def read_only(self) -> bool:
        """Whether every change is refused: another session writes the journal, or nobody wants to."""
        return self._hold.lock is None

    @property
    def annotator(self) -> str:
        """Who annotates, as given when it was opened; empty if nobody was named."""
        return self._ledger.annotator

    @property
    def message(self) -> str:
        """A sentence on why the session is read-only, else empty."""
        return str(opening.refusal(self.path, self._hold)) if self.read_only else ""

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return not self.read_only and bool(self.undo_name)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return not self.read_only and bool(self.redo_name)

    @property
    def undo_name(self) -> str:
        """What `undo` takes back, such as ``click``; empty if nothing."""
        step = self.history.last_done
        return step.title if step is not None else ""

    @property
    def redo_name(self) -> str:
        """What `redo` does again; empty if nothing."""
        step = self.history.last_undone
        return step.title if step is not None else ""

    def object_mask(self, object_id: int, plane: Plane) -> NDArray[np.bool_]:
        """Return an object's voxels on a plane, (rows, columns), those of objects inside it included."""
        return drafts.plane_mask(self.state, self._ledger.voxels, self.state.object(object_id).id, plane)

    def voxel_count(self, object_id: int) -> int:
        """Return the number of an object's voxels, those of objects inside it included; nothing is scanned."""
        return strokes.count(self.state, self._ledger.voxels, object_id)

    def volume_ml(self, object_id: int) -> float:
        """Return an object's volume in millilitres; a 2-D image counts as 1 mm thick."""
        voxel = abs(float(np.linalg.det(self.volume.geometry.affine[:3, :3])))
        return self.voxel_count(object_id) * voxel / 1000

    def bounding_box(self, object_id: int) -> Region | None:
        """Return the smallest box that holds all of an object's voxels; None if it has none."""
        return strokes.bounding_box(self.state, self._ledger.voxels, object_id)

    def add_object(self, class_name: str | None = None, name: str | None = None) -> int:
        """Make a new object, which becomes the active one, and return its id."""
        number = self.state.next_id
        self._change("add_object", "new object", transitions.add_object(self.state, class_name, name))
        return number

    def set_active(self, object_id: int | None) -> None:
        """Choose the object that prompts and strokes go to; no undo step."""
        self._change("set_active", "choose object", transitions.set_active(self.state, object_id), NO_STEP)

    def rename(self, object_id: int, name: str) -> None:
        """Give an object another name."""
        self._change("rename", "rename", transitions.rename(self.state, object_id, name))

    def recolour(self, object_id: int, colour: Sequence[int]) -> None:
        """Give an object another colour: red, green, blue, 0..255."""
        self._change("recolour", "colour", transitions.recolour(self.state, object_id, colour))

    def set_class(self, object_id: int, class_name: str | None) -> None:
        """Give an object another class, or none."""
        self._change("set_class", "class", transitions.set_class(self.state, object_id, class_name))

    def set_locked(self, object_id: int, locked: bool) -> None:
        """Protect an object's voxels and prompts from every change but undo, or no longer."""
        after = transitions.alter(self.state, replace(self.state.object(object_id), locked=locked))
        self._change("set_locked", "lock" if locked else "unlock", after)

    def set_visible(self, object_id: int, visible: bool) -> None:
        """Show or hide an object; no undo step."""
        after = transitions.alter(self.state, replace(self.state.object(object_id), visible=visible))
        self._change("set_visible", "show" if visible else "hide", after, NO_STEP)

    def delete_object(self, object_id: int) -> None:
        """Delete an object; what it took from others comes back."""
        self._commit(drafts.delete_object(self.state, self._ledger.voxels, object_id))

    def accept(self, object_id: int | None = None) -> None:
        """Say that an object is right, the active one if none is given; the next prompt starts the next object."""
        self._change("accept", "accept", transitions.accept(self.state, object_id))

    def reset(self, object_id: int | None = None) -> None:
        """Forget an object's prompts, mask and hand edits; of the active one if none is given."""
        self._commit(drafts.reset(self.state, self._ledger.voxels, object_id))

    def add_prompt(self, prompt: Prompt, *, alone: bool = False) -> None:
        """Add a prompt to the active object; if there is none, to a new one of the `next_class`.

        Where the object has voxels that no prompt explains, a mask prompt of them goes
        before it, in the same step. A mask prompt on a plane without other prompts is
        its own answer; others wait for `apply_mask`.

        Parameters
        ----------
        prompt : Prompt
            On any plane.
        alone : bool
            Put no mask before it: a model of volumes will answer all planes together.

        Raises
        ------
        PromptError
            It lies outside the image.
        LockedObjectError
            The object is locked.
        """
        self._commit(drafts.add_prompt(self.state, self._ledger.voxels, prompt, alone=alone))

    def remove_prompt(self, index: int) -> None:
        """Remove a prompt of the active object; with the last one on a plane goes the model's part there."""
        self._commit(drafts.remove_prompt(self.state, self._ledger.voxels, index))

    def move_prompt(self, index: int, prompt: Prompt) -> None:
        """Replace a prompt of the active object."""
        self._commit(drafts.move_prompt(self.state, self._ledger.voxels, index, prompt))

    def apply_mask(
        self,
        request: PredictionRequest,
        mask: NDArray[np.bool_],
        *,
        model: str,
        model_digest: str = "",
        quality: float = 0.0,
        adapters: Sequence[str] = (),
        box: Region | None = None,
    ) -> bool:
        """Put a model's answer in place, in the undo step of the prompt that asked for it.

        On that plane, or in that box, the object becomes what the model says and the hand painted,
        without what the hand erased, what locked objects hold, and what the policy
        leaves to others. What a former answer took there is given back.

        Parameters
        ----------
        request : PredictionRequest
            What was asked, from `resolve`.
        mask : ndarray of bool, (rows, columns) or (z, y, x)
            The answer, on the whole plane or in the box.
        model, model_digest, adapters
            Who answered: name, digest of weights and preprocessing, digests of adapters.
        quality : float
            What the model thinks of its answer, 0..1; 0 if it does not know.
        box : tuple of slice, optional
            The voxels that are answered for, if `napari_medfm.volume.WHOLE` was asked about; beyond them only what the
            last such answer took is given back. Without one that is all that is done.

        Returns
        -------
        bool
            False, and nothing changed, if the answer comes too late to be right.
        """
        facts = authorship(model, model_digest, quality, adapters)
        self._check_writable()
        draft = drafts.answer(self.state, self._ledger.voxels, self.history, request, mask, facts, box)
        if draft is not None:
            self._commit(draft)
        return draft is not None

    def record_stroke(self, indices: Sequence[Any], value: int, *, inside: str | None = None) -> None:
        """Take over a stroke that napari's brush made on the copy of `labels` that it shows.

        The brush adds to the object `value` and takes from others what the policy allows;
        while no object is active, the next id makes a new object in the same step. 0, the
        eraser, takes from the active object and from no other, whatever the policy.
        Everything else stays. `events.voxels_changed` names the whole box of the stroke, also
        if this raises, so that the copy can be made true again.

        Parameters
        ----------
        indices : sequence of integer arrays
            One per axis, as in ``labels[indices]``.
        value : int
            What was painted.
        inside : str, optional
            Class within which alone is painted.

        Raises
        ------
        LockedObjectError
            The object is locked.
        SessionError
            There is no such object, or none to erase from.
        """
        region, mask = strokes.enclose(indices)
        if region is None:
            return
        try:
            number = value if value else self.state.object().id
            self._commit(self._brushed(number, region, mask, bool(value), inside), region)
        except MedfmError:
            self.events.voxels_changed.emit(region)
            raise

    def write_voxels(
        self, object_id: int, region: Region, mask: NDArray[np.bool_], *, add: bool = True, inside: str | None = None
    ) -> None:
        """Paint or erase voxels of an object by hand, without napari; otherwise as `record_stroke`.

        Parameters
        ----------
        object_id : int
            The object; the next id makes a new one in the same step while none is active.
        region : tuple of slice
            A box of the volume.
        mask : ndarray of bool
            Which voxels of the box.
        add : bool
            Paint or erase.
        inside : str, optional
            Class within which alone is painted.

        Raises
        ------
        LockedObjectError
            The object is locked.
        SessionError
            There is no such object, or the mask does not fit the box.
        """
        self._commit(self._brushed(object_id, region, mask, add, inside))

    def work_out(self, work: Work[T]) -> T:
        """Work out what an editing operation, or an answer, would do; nothing is changed.

        May be called from any thread: if the session changes meanwhile, `carry_out` will refuse the plan.

        Parameters
        ----------
        work : Shaping or Answering
            What to work out.

        Raises
        ------
        LockedObjectError
            The object is locked.
        SessionError
            There is no such object or class.
        """
        return worked_out(work, self._ledger, self.volume.geometry)

    def glance(self, shaping: Shaping, plane: Plane) -> SliceChange:
        """Work out what an editing operation would do to one slice; otherwise as `work_out`."""
        return shaping.glance(self._ledger, self.volume.geometry, plane)

    def carry_out(self, plan: Plan) -> bool:
        """Do what `work_out` found, as one undo step; False, and nothing changes, if anything happened since."""
        self._check_writable()
        current = plan.revision == self._ledger.revision
        if current:
            self._commit(plan.draft)
        return current

    def import_labels(self, array: NDArray[Any], names: Mapping[int, str] | None = None) -> None:
        """Open a label volume as accepted objects that keep their ids.

        Parameters
        ----------
        array : ndarray of integers
            On the voxel grid of the image.
        names : mapping of int to str, optional
            Names of the objects; ``Object 7`` where none is given.

        Raises
        ------
        GeometryError
            Its shape is not that of the image.
        UnsupportedDataError
            It holds fractions, negative or too large numbers.
        SessionError
            An id belongs to an object already.
        """
        self._commit(drafts.import_labels(self.state, self._ledger.voxels, array, names))

    def define_classes(self, classes: Sequence[ObjectClass]) -> None:
        """Replace the class list; classes that objects belong to must stay."""
        self._change("define_classes", "classes", transitions.define_classes(self.state, classes))

    def load_classes(self, path: Path) -> None:
        """Replace the class list by that of a file, see `napari_medfm.session.read_classes`."""
        self.define_classes(read_classes(path))

    def set_extent(self, class_name: str, planes: Iterable[Plane], extent: Extent) -> None:
        """Say how far a class was annotated on some planes."""
        self._change("set_extent", "extent", transitions.set_extent(self.state, class_name, planes, extent))

    def confirm_slice(self, class_name: str, plane: Plane) -> None:
        """Say that all of a class on a slice is labelled: its objects there are accepted, or it is not there.

        Raises
        ------
        SessionError
            There is no such class.
        """
        self._commit(growth.confirm(self.state, self._ledger.voxels, class_name, [plane]))

    def accept_proposals(
        self, target: Target, chosen: Sequence[Proposal], origin: Origin, confirmed: Sequence[Plane] = ()
    ) -> None:
        """Make proposals voxels of accepted objects, in one step; see `napari_medfm.session.growth.accept`."""
        self._commit(growth.accept(self.state, self._ledger.voxels, target, chosen, origin, confirmed))

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Journal JSON values that are worth knowing later, see `napari_medfm.session.notes`; no undo step."""
        self._commit(Draft(kind, kind, self.state, step=NO_STEP, facts=facts))

    def notes(self, kind: str) -> list[Any]:
        """Return everything that was noted of a kind, in order."""
        return [json.loads(facts) for facts in self._ledger.journal.facts_of(kind)]

    def set_policy(self, policy: CommitPolicy) -> None:
        """Choose whose voxels may be taken from now on; no undo step."""
        self._change("set_policy", "policy", replace(self.state, policy=policy), NO_STEP)

    def add_image(self, name: str, volume: Volume, fingerprint: str) -> None:
        """Add a co-registered image over the same label volume; it is known only while the session is open.

        Parameters
        ----------
        name : str
            Short display name; not journaled.
        volume : Volume
            On the same voxel grid.
        fingerprint : str
            Of its voxels.

        Raises
        ------
        GeometryError
            It lies on another grid.
        SessionError
            The name is taken.
        """
        if name in self._images:
            raise SessionError(name, "is open already", "Give the image another name.")
        opening.check_grid(volume.geometry, self.volume.geometry, name)
        self._images[name] = (fingerprint, volume)

    def set_image(self, name: str) -> None:
        """Choose the image that the model sees from now on, by display name; no undo step."""
        if name not in self._images:
            raise SessionError(name, "is not open", "Add the image first.")
        self._change("set_image", "image", replace(self.state, image=self._images[name][0]), NO_STEP)

    def undo(self) -> str:
        """Take the last step back and return what it was; empty if there is none."""
        name = self.undo_name
        self._check_writable()
        self._announce(self._ledger.undo())
        return name

    def redo(self) -> str:
        """Do the step again that was taken back last and return what it was; empty if there is none."""
        name = self.redo_name
        self._check_writable()
        self._announce(self._ledger.redo())
        return name

    def save_labels(self, path: Path) -> Path:
        """Write the label volume to a file, on the grid of the image's own file.

        To write it elsewhere meanwhile, give a copy of `labels` to
        `napari_medfm.volume.write_labels` on another thread, and tell `note_saved` here.

        Raises
        ------
        WriteError
            It could not be written, or did not read back equal.
        """
        written = write_labels(path, self.labels, self.volume.geometry)
        self.note_saved(written)
        return written

    def note_saved(self, path: Path) -> None:
        """Journal that the labels were written: the file's digest, not its name. Read-only sessions note nothing."""
        if not (self.read_only or self._closed):
            facts = {"sha256": sha256_file(path)}
            self._commit(Draft("save", "save", self.state, step=NO_STEP, facts=facts))

    def _brushed(self, number: int, region: Region, mask: NDArray[np.bool_], add: bool, inside: str | None) -> Draft:
        state = transitions.ensure_active(self.state) if number == self.state.next_id else self.state
        return drafts.brush(state, self._ledger.voxels, number, region, mask, add, inside)

    def _change(self, kind: str, title: str, after: SessionState, step: int | None = None) -> None:
        self._commit(Draft(kind, title, after) if step is None else Draft(kind, title, after, step=step))

    def _commit(self, draft: Draft, repaint: Region | None = None) -> None:
        self._check_writable()
        self._announce(self._ledger.commit(draft), repaint)

    def _check_writable(self) -> None:
        self._check_thread()
        if self.read_only:
            raise opening.refusal(self.path, self._hold)
        if self._closed:
            raise SessionError("session", "is closed", "Open the image again.")

    def _check_thread(self) -> None:
        if threading.get_ident() != self._owner:
            msg = "a session must be used from the thread that opened it; bring the call there"
            raise RuntimeError(msg)

    def _announce(self, outcome: Outcome | None, repaint: Region | None = None) -> None:
        region = outcome.region if outcome is not None else None
        if outcome is not None and outcome.replaced:
            self.events.labels_replaced.emit(self.labels)
        regions = [part for part in (region, repaint) if part is not None]
        if regions:
            self.events.voxels_changed.emit(bounds(regions))
        if outcome is not None:
            self.events.announce(outcome.before, outcome.after, self.image_name or "")
