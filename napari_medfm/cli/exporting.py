"""The commands ``export`` and ``train-check``."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medfm.cli.terminal import Row, bar
from napari_medfm.errors import ExportError, VolumeError
from napari_medfm.files import atomic_write_bytes

if TYPE_CHECKING:
    from napari_medfm.evaluation.training_check import Meaning, Sample, TrainingCheck
    from napari_medfm.export import Case, CaseSource, Dataset, DatasetPlan, Exported
    from napari_medfm.session import ObjectClass
    from napari_medfm.volume import Volume

_FORMS = "nnunet, decathlon, coco, dicom_seg, nifti"


def export(  # noqa: PLR0913 - each argument is an option of the command
    images: Annotated[
        Path, typer.Argument(help="Folder of images that have sessions, or labels beside them; a project; a data set.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    form: Annotated[str, typer.Option("--format", help=f"Form of the data set: {_FORMS}, ...")] = "nnunet",
    labels: Annotated[
        Path | None, typer.Option(help="Folder of label files named as their images. Default: sessions are exported.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="With --labels: class list; value k is its k-th class.")] = None,
    patients: Annotated[
        str, typer.Option(help="Expression that finds the patient in a file's name, such as '^([^_]+)_'.")
    ] = r"sub-([A-Za-z0-9]+)",
    channel: Annotated[
        str, typer.Option(help="What the images are, such as CT or MR: nnU-Net normalises by it. Default: as they say.")
    ] = "",
    folds: Annotated[int, typer.Option(min=2, help="Folds for cross-validation, by patient.")] = 5,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the cases to hold out, by patient.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the divisions.")] = 0,
    complete: Annotated[
        bool, typer.Option("--complete", help="I looked at every slice: what is not labelled is background.")
    ] = False,
    licence: Annotated[str, typer.Option(help="For the card.")] = "",
    description: Annotated[str, typer.Option(help="For the card.")] = "",
    reference: Annotated[str, typer.Option(help="For the card.")] = "",
    key: Annotated[
        Path | None, typer.Option(help="CSV file to write outside of it: which case is which file. Keep it private.")
    ] = None,
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="Of a project: only cases that a second reader accepted, not all done.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="An export of ours that is there gives way.")] = False,
) -> list[Row]:
    """Make a training set of the annotated images of a folder, checked after writing.

    Of a project, what is done or reviewed is exported. Cases are numbered: names of files may hold names of
    patients. Who is the same patient is told by the id in DICOM files, else found in the file's name by --patients;
    where that finds nothing, every image counts as a patient of its own. Voxels of slices that nobody marked as
    looked at are to be ignored in training, unless --complete.
    """
    from napari_medfm.export import Facts, Options, export_dataset, find_exporter

    exporter = find_exporter(form)
    reading = _Reading(_pattern(patients), channel)
    projected = _project(images, reviewed, channel)
    found = projected or _cases(images, labels, classes, reading)
    facts = Facts(description, reference, licence, complete)
    options = Options(folds=folds, test=test, seed=seed, facts=facts)
    with bar("Exporting") as move:
        done = export_dataset(list(found.values()), exporter, output, options, replace=replace, progress=move)
    if key is not None:
        _write_key(key, list(found), done)
    _warn(done, guessed=not projected)
    return [_row(done, name) for name in done.plan.values]


def train_check(
    dataset: Annotated[Path, typer.Argument(help="Folder of a training set: of ours, or nnU-Net v2 or Decathlon.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="To train.")] = 5.0,
    fold: Annotated[int, typer.Option(min=0, help="Which division to judge on.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the network and the patches.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps instead of minutes, for the same result again.")
    ] = None,
) -> list[Row]:
    """Train MONAI's U-Net, small, on a training set, as proof that it can be: Dice on the patients left out.

    Says nothing of how good a model could become. Labels beside their organs or mixed-up values give a Dice near 0.
    """
    from napari_medfm.evaluation.training_check import TrainingCheck
    from napari_medfm.export import open_dataset

    found = open_dataset(dataset, verify=True)
    plan, sources = plan_of(found, dataset.name)
    if fold >= max(len(plan.folds), 1):
        raise typer.BadParameter(f"there are {len(plan.folds)}", param_hint="--fold")
    meaning = meaning_of(plan)
    parts = (plan.folds[fold].training, plan.folds[fold].validation) if plan.folds else ((), ())
    training, validation = ([partial(sample_of, sources[case], plan) for case in part] for part in parts)
    check = TrainingCheck(training, validation, meaning, seconds=60 * minutes, seed=seed, steps=steps)
    _run(check)
    typer.echo(f"Trained on {check.used} of {len(training)} cases, judged on {len(validation)}.", err=True)
    return [{"class": score.name, "cases": score.cases, "dice": score.dice} for score in check.scores()]


def _run(check: "TrainingCheck") -> None:
    with bar("Training") as move:
        for share, _ in check.train():
            move(round(100 * share), 100)


def _cases(images: Path, labels: Path | None, classes: Path | None, reading: "_Reading") -> "Mapping[str, CaseSource]":
    """Return how to read each case, by the name of its file."""
    from napari_medfm.export import open_dataset
    from napari_medfm.export.manifest import MANIFEST
    from napari_medfm.volume import find_images

    if (images / MANIFEST).is_file() or (images / "dataset.json").is_file():
        dataset = open_dataset(images)
        return {f"case {number}": case for number, case in enumerate(dataset.cases, start=1)}
    if not images.is_dir():
        raise ExportError(images.name, "is no folder", "Give a folder of images.")
    paths = find_images(images)
    if labels is None:
        digests = {path: _annotated(path) for path in paths}
        found = {
            path.name: partial(reading.from_session, path, digest)
            for path, digest in digests.items()
            if digest is not None
        }
    else:
        kinds = _read_classes(classes)
        pairs = {path: _label_file(path, labels) for path in paths}
        found = {
            path.name: partial(reading.from_labels, path, label, kinds)
            for path, label in pairs.items()
            if label is not None
        }
    if not found:
        reason = "holds no image with a session" if labels is None else "holds no image with a label file"
        raise ExportError(images.name, reason, "Annotate an image first, or name the folder of labels by --labels.")
    return found


def _project(folder: Path, reviewed: bool, channel: str) -> "Mapping[str, CaseSource]":
    """Return how to read each finished case of a project, by id and name of its file; nothing if there is none."""
    from napari_medfm.export import case_from_file
    from napari_medfm.projects import CaseStatus, Project

    if not Project.is_in(folder):
        return {}
    wanted = {CaseStatus.REVIEWED} if reviewed else {CaseStatus.DONE, CaseStatus.REVIEWED}
    cases = [case for case in Project(folder).cases() if case.status in wanted]
    if not cases:
        reason = f"has no case that is {' or '.join(sorted(wanted))}"
        raise ExportError(folder.name, reason, "Finish one first: project status.")
    return {
        f"{case.title}: {case.path.name}": partial(
            case_from_file,
            case.path,
            case.fingerprint,
            patient=case.patient,
            title=case.title,
            choice=case.choice,
            modality=channel,
        )
        for case in cases
    }


def _annotated(path: Path) -> str | None:
    """Return the fingerprint of an image that has a session."""
    from napari_medfm.session import AnnotationSession
    from napari_medfm.volume import fingerprint, open_volume

    try:
        digest = fingerprint(open_volume(path))
    except VolumeError as error:  # it cannot have been annotated either
        typer.echo(str(error), err=True)
        return None
    return digest if AnnotationSession.exists(digest) else None


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a case is made of an image: who the patient is, and what the image is."""

    pattern: re.Pattern[str]
    channel: str

    def from_session(self, path: Path, digest: str) -> "Case":
        from napari_medfm.export import case_from_journal

        return case_from_journal([self._open(path)], digest, patient=self._patient(path), source=path)

    def from_labels(self, path: Path, labels: Path, kinds: "Sequence[ObjectClass]") -> "Case":
        from napari_medfm.export import case_from_labels
        from napari_medfm.volume import open_labels

        volume = self._open(path)
        return case_from_labels(volume, open_labels(labels, volume), kinds, patient=self._patient(path), source=path)

    def _open(self, path: Path) -> "Volume":
        from napari_medfm.volume import open_volume

        volume = open_volume(path)
        return with_changes(volume, modality=self.channel) if self.channel else volume

    def _patient(self, path: Path) -> str:
        """Return what tells a patient apart; it is replaced by a pseudonym before anything is written."""
        from napari_medfm.pseudonyms import load_pseudonyms
        from napari_medfm.volume.dicom_patient import read_identity

        said = read_identity(path)
        if said is not None:
            return load_pseudonyms().patient(said)
        found = self.pattern.search(path.name)
        return path.name if found is None else found.group(found.re.groups and 1)


def _label_file(path: Path, folder: Path) -> Path | None:
    """Return the file in a folder that is named as an image, perhaps with ``_labels`` behind."""
    from napari_medfm.volume import LABEL_ENDINGS

    stem = path.name.removesuffix(".nii.gz") if path.name.endswith(".nii.gz") else path.stem
    names = [
        f"{stem}{addition}{ending}"
        for addition in ("", *LABEL_ENDINGS)
        for ending in (".nii.gz", ".nii", ".png", ".tif")
    ]
    return next((folder / name for name in names if (folder / name).is_file() and folder / name != path), None)


def _read_classes(path: Path | None) -> "Sequence[ObjectClass]":
    from napari_medfm.session import read_classes

    if path is None:
        raise typer.BadParameter("say by a class list what the values of the labels are", param_hint="--classes")
    return read_classes(path)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise typer.BadParameter(f"is no regular expression: {error}", param_hint="--patients") from error


def _write_key(path: Path, files: Sequence[str], done: "Exported") -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("case", "patient", "file"))
    for entry, name in zip(done.plan.entries, files, strict=True):
        writer.writerow((entry.id, entry.patient, name))
    atomic_write_bytes(path, text.getvalue().encode())


def _warn(done: "Exported", *, guessed: bool) -> None:
    """Tell what is doubtful; who is which patient was guessed here, or settled when the project was made."""
    persons = {entry.patient for entry in done.plan.entries}
    if guessed and len(persons) == len(done.plan.entries) > 1:
        typer.echo("Every image counts as a patient of its own; if that is wrong, see --patients.", err=True)
    ignored = max(each.ignored for each in done.counts)
    if ignored > 0:
        share = sum(each.ignored for each in done.counts) / len(done.counts)
        typer.echo(
            f"{share:.1%} of the voxels were looked at by nobody and are to be ignored; see --complete.", err=True
        )


def _row(done: "Exported", name: str) -> Row:
    tallies = [each.classes[name] for each in done.counts]
    return {
        "class": name,
        "value": done.plan.values[name],
        "cases": sum(tally.voxels > 0 for tally in tallies),
        "objects": sum(tally.objects for tally in tallies),
        "ml": sum(tally.ml for tally in tallies),
        "slices_looked_at": sum(tally.slices for tally in tallies),
    }


def plan_of(dataset: "Dataset", name: str) -> "tuple[DatasetPlan, Mapping[str, CaseSource]]":
    """Return the plan of a data set, made anew if another program wrote it, and how to read each case."""
    from napari_medfm.export import Options
    from napari_medfm.export.planning import plan_dataset, sketch

    sketches = [sketch(source()) for source in dataset.cases]
    sources = {one.name: source for one, source in zip(sketches, dataset.cases, strict=True)}
    if dataset.manifest is not None:
        return dataset.manifest.plan, sources
    plan = plan_dataset(sketches, name, Options())
    return plan, dict(zip((entry.id for entry in plan.entries), sources.values(), strict=True))


def meaning_of(plan: "DatasetPlan") -> "Meaning":
    """Return what the values of the label maps of a data set mean."""
    from napari_medfm.evaluation.training_check import Meaning
    from napari_medfm.export.case import descendants

    values = plan.values
    members = {
        name: frozenset({value, *(values[inner] for inner in descendants(plan.classes, name))})
        for name, value in values.items()
    }
    return Meaning(members, plan.ignore)


def sample_of(source: "CaseSource", plan: "DatasetPlan") -> "Sample":
    """Read a case as a network is trained on it."""
    from napari_medfm.evaluation.training_check import Sample, normalised
    from napari_medfm.export import class_map
    from napari_medfm.export.pairs import grey_images

    case = source()
    images: list[Any] = [volume.array for volume in grey_images(case)]
    return Sample(case.name, normalised(images), class_map(case, plan))
