"""What a session knows besides its voxels: objects, classes, extent, choices. All of it frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TypeVar

from napari_medfm.errors import SessionError
from napari_medfm.prompts import PromptSet
from napari_medfm.volume import WHOLE, Plane, Region

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""


K = TypeVar("K")
V = TypeVar("V")


def thaw(mapping: Mapping[K, V]) -> dict[K, V]:
    """Return a copy of a mapping that can be changed, made without hashing its keys again."""
    return mapping.copy() if isinstance(mapping, MappingProxyType | dict) else dict(mapping)


class Extent(Enum):
    """How far one class was annotated on one plane."""

    UNSEEN = "unseen"
    """Nobody looked: what is not labelled there is unknown, never background."""
    ANNOTATED = "annotated"
    """Fully annotated: what is not labelled there is background."""
    NEGATIVE = "negative"
    """Looked at, and confirmed to hold nothing of the class."""


class CommitPolicy(Enum):
    """Whose voxels a new mask or stroke may take."""

    KEEP = "keep"
    """Background, the object's own, and those of an object of one of its parent classes."""
    REPLACE = "replace"
    """Also those of other objects, unless they are locked."""


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """A kind of structure.

    Attributes
    ----------
    name : str
        Unique within a session.
    colour : (int, int, int)
        Red, green, blue, 0..255; given to objects of the class.
    parent : str or None
        Name of the class it lies in, such as the liver of a lesion. An object of a class
        keeps its voxels in its mask when an object of a class below lies on top of them.
    """

    name: str
    colour: Colour = (255, 255, 255)
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class SegmentedObject:
    """One structure that is being segmented.

    Attributes
    ----------
    id : int
        Its value in the label volume, from 1; never given twice within a session.
    name : str
        Shown to people.
    class_name : str or None
        Name of its class, if it has one.
    colour : (int, int, int)
        Red, green, blue, 0..255.
    locked : bool
        Whether its voxels are protected from every change but undo.
    visible : bool
        Whether it is shown.
    accepted : bool
        Whether the person said it is right.
    prompts : PromptSet
        What the person pointed at, on all planes, in order.
    """

    id: int
    name: str
    class_name: str | None
    colour: Colour
    locked: bool = False
    visible: bool = True
    accepted: bool = False
    prompts: PromptSet = field(default_factory=PromptSet)


@dataclass(frozen=True, slots=True)
class SessionState:
    """Everything a session remembers besides its voxels.

    Attributes
    ----------
    objects : mapping of int to SegmentedObject
        By id, in the order they were made.
    classes : tuple of ObjectClass
        In the order they were defined.
    extent : mapping of (str, Plane) to Extent
        By class name and plane; what is not in it is `Extent.UNSEEN`.
    active : int or None
        Id of the object that prompts and strokes go to.
    policy : CommitPolicy
        Whose voxels may be taken.
    image : str
        Fingerprint of the image that the model sees.
    answers : mapping of (int, Plane) to str
        By object id and plane, the digest of the prompts that its voxels answer;
        where it differs from the digest of the prompts there, an answer is outstanding.
        By object id and `napari_medfm.volume.WHOLE`, the box in which a model of volumes
        answered last, see `answered_box`.
    next_id : int
        Id of the next object.
    """

    objects: Mapping[int, SegmentedObject] = field(default_factory=lambda: MappingProxyType({}))
    classes: tuple[ObjectClass, ...] = ()
    extent: Mapping[tuple[str, Plane], Extent] = field(default_factory=lambda: MappingProxyType({}))
    active: int | None = None
    policy: CommitPolicy = CommitPolicy.KEEP
    image: str = ""
    answers: Mapping[tuple[int, Plane], str] = field(default_factory=lambda: MappingProxyType({}))
    next_id: int = 1

    def object(self, object_id: int | None = None) -> SegmentedObject:
        """Return an object, the active one if no id is given.

        Raises
        ------
        SessionError
            There is no such object, or none is active.
        """
        wanted = self.active if object_id is None else object_id
        if wanted is None:
            raise SessionError("no object", "none is active", "Add an object or choose one in the table.")
        if wanted not in self.objects:
            raise SessionError(f"object {wanted}", "does not exist", "Choose one in the table.")
        return self.objects[wanted]

    def object_class(self, name: str) -> ObjectClass:
        """Return a class.

        Raises
        ------
        SessionError
            There is no such class.
        """
        for known in self.classes:
            if known.name == name:
                return known
        raise SessionError(f"class {name}", "is not defined", "Define it or choose another.")

    @property
    def next_class(self) -> str | None:
        """Class of an object that is begun without naming one: that of the last, else the first; None without classes.

        The last is the active object, or else the newest.
        """
        last = self.objects.get(self.active or max(self.objects, default=0))
        if last is not None and last.class_name is not None:
            return last.class_name
        return self.classes[0].name if self.classes else None

    def extent_of(self, class_name: str, plane: Plane) -> Extent:
        """Return how far a class was annotated on a plane."""
        return self.extent.get((class_name, plane), Extent.UNSEEN)

    def ancestors(self, class_name: str | None) -> tuple[str, ...]:
        """Return the names of the classes above a class, nearest first."""
        parents = {known.name: known.parent for known in self.classes}
        above: list[str] = []
        parent = parents.get(class_name) if class_name is not None else None
        while parent is not None:
            above.append(parent)
            parent = parents.get(parent)
        return tuple(above)

    def answered_box(self, object_id: int) -> Region | None:
        """Return the box in which a model of volumes answered for an object; None if none did."""
        text = self.answers.get((object_id, WHOLE))
        return None if text is None else tuple(slice(*map(int, part.split(":"))) for part in text.split(","))

    def lies_in(self, child: int, parent: int) -> bool:
        """Whether the class of one object is above that of another, so that it keeps what the other covers."""
        above = self.objects[parent].class_name
        return above is not None and above in self.ancestors(self.objects[child].class_name)

    def members(self, class_name: str) -> frozenset[int]:
        """Return the ids of the objects of a class and of every class below it."""
        return frozenset(
            number
            for number, thing in self.objects.items()
            if thing.class_name is not None
            and (thing.class_name == class_name or class_name in self.ancestors(thing.class_name))
        )
