"""From cases to a plan: classes, channels, names, pseudonyms and divisions, decided before anything is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from napari_medfm.errors import ExportError
from napari_medfm.export.case import Case, count_values
from napari_medfm.export.exporter import DatasetPlan, Entry, Facts
from napari_medfm.export.naming import distinct_names, safe_name
from napari_medfm.export.splitting import Outline, divide, hold_out
from napari_medfm.session import ObjectClass
from napari_medfm.volume import fingerprint


@dataclass(frozen=True, slots=True)
class Options:
    """How a data set is made.

    Attributes
    ----------
    name : str
        Of the data set; that of the folder if empty.
    folds : int
        Ways to divide it for cross-validation.
    test : float
        Share of the cases that is held out for the end.
    seed : int
        Of the divisions.
    facts : Facts
        What the person tells of it.
    """

    name: str = ""
    folds: int = 5
    test: float = 0.0
    seed: int = 0
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a plan needs to know of a case, without its voxels.

    Attributes
    ----------
    name, patient : str
        As in `Case`.
    channels : tuple of str
        Names of its images.
    classes : tuple of ObjectClass
        That it defines.
    present : frozenset of str
        Names of the classes that occur in it, those around them included.
    image : str
        Fingerprint of its first image.
    """

    name: str
    patient: str
    channels: tuple[str, ...]
    classes: tuple[ObjectClass, ...]
    present: frozenset[str]
    image: str = ""


def sketch(case: Case) -> Sketch:
    """Return what a plan needs to know of a case."""
    held = set(count_values(case.labels))
    present = frozenset(kind.name for kind in case.classes if held & case.members(kind.name))
    image = str(case.provenance.get("image_sha256") or fingerprint(next(iter(case.images.values()))))
    return Sketch(case.name, case.patient, channel_names(case), case.classes, present, image)


def channel_names(case: Case) -> tuple[str, ...]:
    """Return the names of the grey images of a case; a colour image is three."""
    names: list[str] = []
    for name, volume in case.images.items():
        names += [f"{name}_{colour}" for colour in ("red", "green", "blue")] if volume.is_rgb else [name]
    return tuple(names)


def plan_dataset(sketches: Sequence[Sketch], name: str, options: Options) -> DatasetPlan:
    """Decide all that has to be known before the first case is written.

    Raises
    ------
    ExportError
        There is no case, or two do not go together: other channels, other parents of a class.
    """
    if not sketches:
        raise ExportError(name, "has no case", "Annotate at least one image.")
    for one in sketches:
        _check_channels(one, sketches[0])
    ids = distinct_names((one.name for one in sketches), "case")
    patients = same_patients(sketches)
    persons = {patient: f"patient_{k:04d}" for k, patient in enumerate(dict.fromkeys(patients), start=1)}
    outlines = [Outline(key, who, one.present) for key, who, one in zip(ids, patients, sketches, strict=True)]
    test = hold_out(outlines, options.test, options.seed)
    folds = divide([outline for outline in outlines if outline.id not in test], options.folds, options.seed)
    entries = tuple(Entry(outline.id, persons[outline.patient], outline.id in test) for outline in outlines)
    classes = merge_classes(one.classes for one in sketches)
    if not classes:
        raise ExportError(name, "has no class", "Define at least one, and annotate objects of it.")
    return DatasetPlan(safe_name(name, "dataset"), classes, sketches[0].channels, entries, folds, options.facts)


def merge_classes(lists: Iterable[tuple[ObjectClass, ...]]) -> tuple[ObjectClass, ...]:
    """Return the classes of all lists, parents before what lies inside them, else in the order they came.

    Raises
    ------
    ExportError
        Two lists put a class into different ones.
    """
    known: dict[str, ObjectClass] = {}
    for kind in (kind for classes in lists for kind in classes):
        before = known.setdefault(kind.name, kind)
        if before.parent != kind.parent:
            reason = f"lies in {kind.parent or 'nothing'} in one case and in {before.parent or 'nothing'} in another"
            raise ExportError(f"class {kind.name}", reason, "Use one class list for all cases.")
    ordered: dict[str, ObjectClass] = {}

    def put(kind: ObjectClass) -> None:
        if kind.parent in known and kind.parent not in ordered:
            put(known[kind.parent])
        ordered.setdefault(kind.name, kind if kind.parent in known else replace(kind, parent=None))

    for kind in known.values():
        put(kind)
    return tuple(ordered.values())


def _check_channels(one: Sketch, first: Sketch) -> None:
    if one.channels != first.channels:
        reason = f"has the images {', '.join(one.channels)}, and the first case has {', '.join(first.channels)}"
        raise ExportError(one.name or "case", reason, "Give every case the same images in the same order, named alike.")


def same_patients(sketches: Sequence[Sketch]) -> tuple[str, ...]:
    """Return the patient of each case; who has the same image as somebody else is the same patient, whatever was said.

    The copy of a file under another name would otherwise be trained on and tested on.
    """
    leaders = {one.patient: one.patient for one in sketches}
    owners: dict[str, str] = {}

    def leader(patient: str) -> str:
        while leaders[patient] != patient:
            patient = leaders[patient]
        return patient

    for one in sketches:
        if one.image:
            leaders[leader(one.patient)] = leader(owners.setdefault(one.image, one.patient))
    return tuple(leader(one.patient) for one in sketches)
