"""What every form of training set has to offer, and what it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from napari_medfm.export.case import Case, CaseSource
from napari_medfm.session import ObjectClass


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the person knows of a data set; it stands in its card.

    Attributes
    ----------
    description, reference, licence : str
        As the formats ask for; empty if not told.
    complete : bool
        Whether the person vouches that everything was looked at: what nobody marked as seen is then
        background. Otherwise it is left to be ignored in training.
    """

    description: str = ""
    reference: str = ""
    licence: str = ""
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """The place of one case in a data set.

    Attributes
    ----------
    id : str
        Names its files: unique, letters, digits, ``_`` and ``-`` only.
    patient : str
        Pseudonym in this data set.
    test : bool
        Whether it is held out for the end.
    """

    id: str
    patient: str
    test: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """One way to divide the cases that are not held out.

    Attributes
    ----------
    training, validation : tuple of str
        Ids; no patient is in both.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """All that is decided before the first case is written.

    Attributes
    ----------
    name : str
        Of the data set: letters, digits, ``_`` and ``-`` only.
    classes : tuple of ObjectClass
        Of all cases; parents before what lies inside them.
    channels : tuple of str
        Names of the images of every case, in order.
    entries : tuple of Entry
        The cases, in order.
    folds : tuple of Fold
        Empty where one patient is all there is. Forms that know one division take the first.
    facts : Facts
        What the person told.
    """

    name: str
    classes: tuple[ObjectClass, ...]
    channels: tuple[str, ...]
    entries: tuple[Entry, ...]
    folds: tuple[Fold, ...] = ()
    facts: Facts = field(default_factory=Facts)

    @property
    def values(self) -> Mapping[str, int]:
        """Label value of each class, from 1 without gaps."""
        return {kind.name: value for value, kind in enumerate(self.classes, start=1)}

    @property
    def ignore(self) -> int:
        """Label value of voxels that nobody decided: the one after the classes'."""
        return len(self.classes) + 1

    def part(self, entry: Entry) -> str:
        """Return ``test``, ``validation`` or ``training``: where a case is in the first division."""
        if entry.test:
            return "test"
        return "validation" if self.folds and entry.id in self.folds[0].validation else "training"


@runtime_checkable
class Exporter(Protocol):
    """A form of training set. It has no state: one instance writes any number of data sets.

    `napari_medfm.export.export_dataset` calls `check` and `write_case` for each case, then `finish`,
    on a folder that nobody else sees until all of it is there. Folder, card, provenance and manifest
    are its concern, not the exporter's.

    Attributes
    ----------
    name : str
        What the command line calls it.
    title : str
        What people call it.
    usage : str
        A sentence or two in the card of a data set: how a trainer is given it.
    """

    name: str
    title: str
    usage: str

    def check(self, case: Case, plan: DatasetPlan) -> None:
        """Refuse a case that the form, or a trainer that reads it, could not take, before anything is written.

        Raises
        ------
        ExportError
            It cannot hold it.
        """

    def write_case(self, case: Case, entry: Entry, plan: DatasetPlan, folder: Path) -> Any:
        """Write a case, read it again and compare; every file through `napari_medfm.files.atomic_write`.

        Returns
        -------
        JSON value
            What `finish` needs to know of it.

        Raises
        ------
        ExportError, WriteError
            It was not written, or read back different.
        """

    def finish(self, plan: DatasetPlan, written: Mapping[str, Any], folder: Path) -> None:
        """Write what is about all cases; `written` holds by id what `write_case` returned."""

    def recognises(self, folder: Path) -> bool:
        """Whether a folder is of this form, also if another program wrote it."""

    def read(self, folder: Path) -> Sequence[CaseSource]:
        """Return the cases of a data set, to go on with it; labels and grids as they are there.

        Raises
        ------
        ExportError
            It is not of this form, or incomplete.
        """
