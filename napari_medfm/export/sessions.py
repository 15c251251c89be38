"""Cases out of sessions, open ones and those that only their journals tell of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_medfm import __version__
from napari_medfm.errors import ExportError
from napari_medfm.export.case import Case, CaseObject, Labels, count_values
from napari_medfm.export.provenance import provenance_of
from napari_medfm.session import AnnotationSession, Extent, ObjectClass, SessionRecord, journal_path, read_record
from napari_medfm.volume import Volume, is_ct, open_volume
from napari_medfm.volume import fingerprint as image_digest

UNCLASSED = "object"
"""Class of every object of a session that has no classes at all."""


def case_from_session(session: AnnotationSession, *, patient: str, name: str = "") -> Case:
    """Return the case of an open session, with all images that are open in it.

    Parameters
    ----------
    session : AnnotationSession
        May be read-only.
    patient, name : str
        As in `Case`.

    Raises
    ------
    ExportError
        An object has no class.
    """
    record = read_record(session.volume, session.fingerprint, session.path.parent)
    return case_from_record(record, tuple(session.images.values()), patient=patient, name=name)


def case_from_journal(
    volumes: Sequence[Volume],
    fingerprint: str,
    *,
    patient: str,
    name: str = "",
    folder: Path | None = None,
    source: Path | None = None,
) -> Case:
    """Return the case that a journal tells of; it is only read, also while a session writes it.

    Parameters
    ----------
    volumes : sequence of Volume
        The image of the session, then others on its grid.
    fingerprint : str
        Of the first one's voxels, see `napari_medfm.volume.fingerprint`.
    patient, name, source
        As in `Case`.
    folder : Path, optional
        Where the journal is kept; the person's own sessions folder if not given.

    Raises
    ------
    JournalError
        There is no journal of the image.
    ExportError
        An object has no class.
    """
    record = read_record(volumes[0], fingerprint, folder)
    return case_from_record(record, volumes, patient=patient, name=name, source=source)


def case_from_file(
    path: Path, fingerprint: str, *, patient: str, title: str, choice: int | None = None, modality: str = ""
) -> Case:
    """Return the case of an image in a file or folder, as its journal tells it.

    Parameters
    ----------
    path : Path
        File or folder of the image.
    fingerprint : str
        Of its voxels.
    patient : str
        As in `Case`.
    title : str
        What messages call it.
    choice : int, optional
        Which image, where there are several.
    modality : str
        What the image is, instead of what it says itself; empty to believe it.

    Raises
    ------
    ExportError
        The image is gone, was changed since it was annotated, or nobody annotated it.
    VolumeError
        It cannot be read.
    """
    if not path.exists():
        raise ExportError(title, f"its image {path.name} is not there any more", "Put it back, or leave the case out.")
    if not journal_path(fingerprint).is_file():
        step = "Open it where it was annotated, or leave it out."
        raise ExportError(title, "holds no annotation on this computer", step)
    volume = open_volume(path, choice=choice)
    if image_digest(volume) != fingerprint:
        raise ExportError(title, f"its image {path.name} was changed since", "Restore it, or leave the case out.")
    shown = replace(volume, modality=modality) if modality else volume
    return case_from_journal([shown], fingerprint, patient=patient, source=path)


def case_from_record(
    record: SessionRecord, volumes: Sequence[Volume], *, patient: str, name: str = "", source: Path | None = None
) -> Case:
    """Return the case that was read from a journal. Objects without a voxel are left out.

    Raises
    ------
    ExportError
        An object has no class, though there are classes.
    """
    classes = record.state.classes or (ObjectClass(UNCLASSED),)
    held = {number for level in record.levels for number in count_values(level)} - {0}
    objects = tuple(
        CaseObject(thing.id, _class_name(thing.class_name, thing.id, record, name), thing.accepted)
        for thing in record.state.objects.values()
        if thing.id in held
    )
    return Case(
        patient=patient,
        images=named_channels(volumes),
        labels=record.levels[0],
        objects=objects,
        classes=classes,
        extent=record.state.extent,
        name=name,
        beneath=tuple(level for level in record.levels[1:] if level.any()),
        provenance=provenance_of(record),
        source=source,
    )


def named_channels(volumes: Sequence[Volume]) -> Mapping[str, Volume]:
    """Return images by what they are, ``CT`` or ``MR``, never by the names of their files.

    nnU-Net normalises what is called CT in its own way; an image that does not say what it is counts as CT if its
    values are those of Hounsfield units.
    """
    names: dict[str, Volume] = {}
    for volume in volumes:
        kind = volume.modality or ("CT" if is_ct(volume) else "image")
        names[kind if kind not in names else f"{kind}_{len(names) + 1}"] = volume
    return names


def _class_name(class_name: str | None, number: int, record: SessionRecord, name: str) -> str:
    if class_name is not None:
        return class_name
    if record.state.classes:
        step = "Give it a class in the table of objects, or delete it."
        raise ExportError(name or "case", f"object {number} has no class", step)
    return UNCLASSED


def case_from_labels(
    volume: Volume,
    labels: Labels,
    classes: Sequence[ObjectClass],
    *,
    patient: str,
    name: str = "",
    source: Path | None = None,
) -> Case:
    """Return the case of a label file: value k is an object of the k-th class, and every slice was looked at.

    Parameters
    ----------
    volume : Volume
        The image.
    labels : ndarray of unsigned integers
        On its grid.
    classes : sequence of ObjectClass
        Of the values from 1 on.
    patient, name, source
        As in `Case`.

    Raises
    ------
    ExportError
        A value is beyond the list.
    """
    values = sorted(value for value in count_values(labels) if value)
    if values and values[-1] > len(classes):
        reason = f"holds the value {values[-1]}, and the list has {len(classes)} classes"
        raise ExportError(name or "label file", reason, "Add the class, or choose the list that belongs to it.")
    planes = volume.geometry.planes()
    return Case(
        patient=patient,
        images=named_channels([volume]),
        labels=labels,
        objects=tuple(CaseObject(value, classes[value - 1].name) for value in values),
        classes=tuple(classes),
        extent={(kind.name, plane): Extent.ANNOTATED for kind in classes for plane in planes},
        name=name,
        provenance={"software": f"napari-medfm {__version__}", "imported_labels": True},
        source=source,
    )
