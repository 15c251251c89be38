"""What the lane does to adapt a model and to fill slices: generators of small steps on frozen questions."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_medfm.inference import Predictor, Proposal, slice_image
from napari_medfm.inference.schedule import embed_plane_steps
from napari_medfm.models import ImageEmbedding
from napari_medfm.session.labelled import LabelledSlice
from napari_medfm.session.questions import View
from napari_medfm.volume import Plane

if TYPE_CHECKING:
    from napari_medfm.adaptation import (
        Adaptation,
        AdaptedModel,
        AdapterLibrary,
        Filled,
        Listed,
        Progress,
        Recipe,
        Suggestion,
        SupportSlice,
    )

THUMBNAIL = 64
"""Pixels of the longer side of a picture of a labelled slice."""

_OUTLINE = (255, 200, 60)


@dataclass(frozen=True, slots=True, eq=False)
class Glimpse:
    """A map of one slice, (rows, columns) of 0..1, float32."""

    plane: Plane
    values: NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Lesson:
    """One adaptation: what was asked, and what came of it.

    Attributes
    ----------
    class_name : str
        The structure.
    view : View
        The base model, the image and its window.
    slices : tuple of LabelledSlice
        To learn from; at least one holds the structure.
    recipe : Recipe or None
        How; the usual one if None.
    shown : Plane or None
        The slice that is visible: a first map of it is made at once.
    earlier : tuple of Path
        Kept slices of earlier images to learn from as well.
    adaptation : Adaptation or None
        Once it has begun.
    listed : Listed or None
        The saved adapter, once it is done.
    stopped : bool
        Whether to end with what there is.
    """

    class_name: str
    view: View
    slices: tuple[LabelledSlice, ...]
    recipe: "Recipe | None" = None
    shown: Plane | None = None
    earlier: tuple[Path, ...] = ()
    adaptation: "Adaptation | None" = field(default=None, init=False)
    listed: "Listed | None" = field(default=None, init=False)
    stopped: bool = field(default=False, init=False)

    def stop(self) -> None:
        """End with what was best so far; may be called from any thread."""
        self.stopped = True
        if self.adaptation is not None:
            self.adaptation.stop()

    def steps(self, library: "AdapterLibrary") -> Iterator["Progress | Glimpse | None"]:
        """Adapt, and save the adapter.

        Parameters
        ----------
        library : AdapterLibrary
            Gets the adapter as soon as it is trained.

        Yields
        ------
        Progress, Glimpse or None
            How far it is, the first map of the visible slice, or nothing yet.

        Raises
        ------
        AdapterError
            The model cannot be adapted, no slice holds the structure, or memory does not suffice.
        WriteError
            The adapter could not be saved.
        """
        from napari_medfm.adaptation import Adaptation, Listed, SupportSet, SupportSlice, adaptable, read_slice

        base = adaptable(self.view.predictor.model)
        support = []
        for each in self.slices:
            embedding = yield from embed_in(self.view, each.plane)
            support.append(SupportSlice.annotated(embedding, each.labels, each.ignore, each.title))
        own = tuple(support)
        for path in self.earlier:
            support.append(read_slice(path))
            yield None
        turn = len(library.list(self.class_name))
        adaptation = Adaptation(
            base, SupportSet(self.class_name, tuple(support)), self.recipe, turn, store=self.view.predictor.store
        )
        self.adaptation = adaptation
        if self.stopped:
            adaptation.stop()
        yield from self._with_a_glimpse(adaptation)
        assert adaptation.adapter is not None  # it ran to its end
        self.listed = Listed.of(library.save(adaptation.adapter))
        yield from self._keep(library, own)

    def _keep(self, library: "AdapterLibrary", own: "Sequence[SupportSlice]") -> Iterator[None]:
        """Keep this image's slices for the next case."""
        from napari_medfm.adaptation import SupportShelf

        shelf = SupportShelf(library.folder)
        for labelled, each in zip(self.slices, own, strict=True):
            shelf.keep(self.class_name, self.view.image, each, picture_of(self.view, labelled))
            yield None

    def _with_a_glimpse(self, adaptation: "Adaptation") -> Iterator["Progress | Glimpse | None"]:
        from napari_medfm.adaptation import adaptable, probability_of

        waiting = self.shown is not None
        for progress in adaptation.steps():
            yield progress
            if waiting and adaptation.preview is not None and self.shown is not None:
                waiting = False
                embedding = yield from embed_in(self.view, self.shown)
                look = adaptable(self.view.predictor.model).look(embedding)
                yield Glimpse(self.shown, probability_of(look, adaptation.preview))


@dataclass(frozen=True, slots=True, eq=False)
class FillProgress:
    """How far filling is.

    Attributes
    ----------
    done, total : int
        Slices.
    filled : Filled
        The slice that was filled last.
    """

    done: int
    total: int
    filled: "Filled"


@dataclass(frozen=True, slots=True, eq=False)
class FillTask:
    """What is to be filled.

    Attributes
    ----------
    class_name : str
        The structure.
    view : View
        The adapted model, the image and its window.
    planes : tuple of Plane
        Neighbouring slices, in order.
    visible : int
        Index of the slice that is looked at: those near it come first.
    held : tuple of LabelledSlice
        Those among them that are labelled: they are not filled, but the clean-up hangs the others on them.
    """

    class_name: str
    view: View
    planes: tuple[Plane, ...]
    visible: int
    held: tuple[LabelledSlice, ...]

    @property
    def open_planes(self) -> list[Plane]:
        """Those to be filled, nearest to the visible one first."""
        held = {each.plane for each in self.held}
        return sorted((p for p in self.planes if p not in held), key=lambda p: abs(p.index - self.visible))

    def steps(self) -> Iterator[FillProgress | None]:
        """Fill slice by slice, on the device's lane; see `FillProgress`."""
        from napari_medfm.adaptation import propose

        model, order = adapted_model(self.view.predictor), self.open_planes
        for done, plane in enumerate(order, start=1):
            embedding = yield from embed_in(self.view, plane)
            yield FillProgress(done, len(order), propose(model, plane, embedding))

    def clean(self, filled: "Mapping[Plane, Filled]") -> "dict[Plane, Filled]":
        """Return what was filled after the clean-up in three dimensions; needs no device."""
        from napari_medfm.adaptation import cleaned

        if self.view.volume.ndim == 2:
            return dict(filled)
        facts = adapted_model(self.view.predictor).adapter.facts
        geometry, every = self.view.volume.geometry, self._with_held(filled)
        spacing = (geometry.spacing[self.planes[0].axis], *geometry.plane_spacing(self.planes[0]))
        return {each.plane: each for each in cleaned(every, spacing, parts=facts.parts) if each.plane in filled}

    def suggest(self, filled: "Mapping[Plane, Filled]") -> "tuple[Suggestion, ...]":
        """Return where to look next; needs no device."""
        from napari_medfm.adaptation import suggest

        return tuple(suggest(self._with_held(filled), {int(each.plane.index) for each in self.held}))

    def _with_held(self, filled: "Mapping[Plane, Filled]") -> "list[Filled]":
        every = {**filled, **{each.plane: _given(each) for each in self.held}}
        return [every[plane] for plane in self.planes if plane in every]


def adapted_model(predictor: Predictor) -> "AdaptedModel":
    """Return the adapted model of a predictor.

    Raises
    ------
    AdapterError
        It has no adapter.
    """
    from napari_medfm.adaptation import AdaptedModel
    from napari_medfm.errors import AdapterError

    if isinstance(predictor.model, AdaptedModel):
        return predictor.model
    raise AdapterError(predictor.spec.title, "has no adapter", "Adapt it first, or load an adapter.")


def uncertainty(view: View, plane: Plane) -> Glimpse:
    """Return how unsure an adapted model is of each pixel of a slice."""
    from napari_medfm.adaptation import entropy
    from napari_medfm.models.steps import finish

    return Glimpse(plane, entropy(adapted_model(view.predictor).probability(finish(embed_in(view, plane)))))


def prepare_ahead(view: View, planes: "Sequence[Plane]") -> Iterator[None]:
    """Embed slices and the altered copies that training will ask for, while nothing else is to be done."""
    from napari_medfm.adaptation import Recipe, make_ahead
    from napari_medfm.models.adaptable import Adaptable

    model, store = view.predictor.model, view.predictor.store
    if store is None or not isinstance(model, Adaptable):
        return
    for plane in planes:
        embedding = yield from embed_in(view, plane)
        yield from make_ahead(model, embedding, Recipe().variation, store)


def picture_of(view: View, labelled: LabelledSlice) -> NDArray[np.uint8]:
    """Return a small picture of a slice with what is labelled outlined, (rows, columns, 3)."""
    from skimage.segmentation import find_boundaries

    image = slice_image(view.volume, labelled.plane, view.window)
    step = max(1, -(-max(image.shape[:2]) // THUMBNAIL))
    small = image[::step, ::step]
    colour = np.repeat(small[..., None], 3, axis=2) if small.ndim == 2 else small.copy()
    colour[find_boundaries(labelled.labels[::step, ::step], mode="inner")] = _OUTLINE
    return np.ascontiguousarray(colour)


def embed_in(view: View, plane: Plane) -> Generator[None, None, ImageEmbedding]:
    """Embed a slice of a view in steps, unless it is stored."""
    return (yield from embed_plane_steps(view.predictor, view.volume, view.image, view.window, plane))


def _given(labelled: LabelledSlice) -> "Filled":
    """A slice that needs no filling, as if it had been filled for sure."""
    from napari_medfm.adaptation import Filled

    mask = (labelled.labels > 0) | labelled.ignore
    found = (Proposal.of(labelled.plane, mask, 1.0),) if mask.any() else ()
    return Filled(labelled.plane, found, 0.0, 0.0, (mask.shape[0], mask.shape[1]))
