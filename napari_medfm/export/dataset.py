"""A data set, written so that it is there completely or not at all; and read, to go on with it."""

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from napari_medfm.errors import ExportError, WriteError
from napari_medfm.export.card import write_card
from napari_medfm.export.case import Case, CaseSource
from napari_medfm.export.counting import Counts, count
from napari_medfm.export.exporter import DatasetPlan, Exporter
from napari_medfm.export.manifest import (
    MANIFEST,
    PROVENANCE,
    Manifest,
    changed_files,
    read_manifest,
    write_json,
    write_manifest,
)
from napari_medfm.export.planning import Options, plan_dataset, sketch
from napari_medfm.export.registry import exporters, find_exporter
from napari_medfm.files import flush_folder

T = TypeVar("T")

UNFINISHED = ".unfinished-"
"""In the names of folders that are being written, beside the one they will be."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes
    ----------
    folder : Path
        Where.
    plan : DatasetPlan
        What was decided before.
    counts : tuple of Counts
        What is in each case.
    """

    folder: Path
    plan: DatasetPlan
    counts: tuple[Counts, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set on the disk.

    Attributes
    ----------
    form : str
        Name of its exporter.
    manifest : Manifest or None
        What it says of itself; None if another program wrote it.
    cases : tuple of CaseSource
        Call one to read it.
    """

    form: str
    manifest: Manifest | None
    cases: tuple[CaseSource, ...]


def export_dataset(
    cases: Sequence[Case | CaseSource],
    exporter: Exporter,
    folder: Path,
    options: Options | None = None,
    *,
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write a training set.

    All of it is written into a hidden folder beside `folder`, which gets its name when everything is there and
    was read again. Each case is read twice: once to decide, once to write.

    Parameters
    ----------
    cases : sequence of Case or CaseSource
        In order.
    exporter : Exporter
        The form, see `find_exporter`.
    folder : Path
        What to make; the folder around it must be there.
    options : Options, optional
        Name, divisions, and what the person tells of it.
    replace : bool
        Whether an export of ours that is there already gives way; anything else never does.
    progress : callable, optional
        Given (done, all) after each step.

    Raises
    ------
    ExportError
        The cases do not go together, or the form cannot hold one. Nothing was written.
    WriteError
        The folder is there already, or something was not written, or read back different. Nothing is left behind.
    """
    options, folder = options or Options(), Path(folder)
    _check_target(folder, replace)
    sources = [case if callable(case) else _given(case) for case in cases]
    step = _Steps(2 * len(sources), progress)
    sketches = [step(sketch(source())) for source in sources]
    plan = plan_dataset(sketches, options.name or folder.name, options)
    with _unfinished(folder) as draft:
        counts = tuple(step(each) for each in _write(sources, exporter, plan, draft))
        write_card(draft, exporter, plan, counts)
        write_manifest(draft, exporter.name, plan)
        _publish(draft, folder)
    return Exported(folder, plan, counts)


def open_dataset(folder: Path, *, verify: bool = False) -> Dataset:
    """Open a data set of any form there is, also one that another program made.

    Parameters
    ----------
    folder : Path
        Of the data set.
    verify : bool
        Whether to compare every file of ours with its digest.

    Raises
    ------
    ExportError
        It is of no form that is known, incomplete, or a file was changed.
    """
    folder = Path(folder)
    manifest = read_manifest(folder) if folder.is_dir() else None
    if manifest is not None:
        changed = changed_files(folder, manifest) if verify else ()
        if changed:
            raise ExportError(Path(changed[0]).name, "is not as it was written", "Export the cases again.")
        return Dataset(manifest.form, manifest, tuple(find_exporter(manifest.form).read(folder)))
    for exporter in exporters().values():
        if folder.is_dir() and UNFINISHED not in folder.name and exporter.recognises(folder):
            return Dataset(exporter.name, None, tuple(exporter.read(folder)))
    known = ", ".join(exporter.title for exporter in exporters().values())
    raise ExportError(folder.name, "is no training set that can be read", f"Choose a finished folder of: {known}.")


def _write(sources: Sequence[CaseSource], exporter: Exporter, plan: DatasetPlan, draft: Path) -> Iterator[Counts]:
    written = {}
    (draft / PROVENANCE).mkdir()
    for source, entry in zip(sources, plan.entries, strict=True):
        case = source()
        exporter.check(case, plan)
        written[entry.id] = exporter.write_case(case, entry, plan, draft)
        write_json(draft / PROVENANCE / f"{entry.id}.json", dict(case.provenance))
        yield count(case, entry, plan)
    exporter.finish(plan, written, draft)


def _check_target(folder: Path, replace: bool) -> None:
    if not folder.parent.is_dir():
        raise WriteError(folder.parent.name, "is no folder", "Make it first, or choose another.")
    if not folder.exists():
        return
    if not (folder / MANIFEST).is_file():
        step = "Choose another name; only a data set that napari-medfm exported can be replaced."
        raise WriteError(folder.name, "is there already", step)
    if not replace:
        raise WriteError(folder.name, "is there already", "Choose another name, or ask to replace it.")


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    draft = folder.with_name(f".{folder.name}{UNFINISHED}{secrets.token_hex(4)}")
    try:
        draft.mkdir()
        yield draft
    except OSError as error:
        reason = f"could not be written ({error.strerror or error})"
        raise WriteError(folder.name, reason, "Check free space and permissions, or choose another folder.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _publish(draft: Path, folder: Path) -> None:
    """Give a finished folder its name; one that is there goes aside first, and away last."""
    flush_folder(draft)
    aside = draft.with_name(f"{draft.name}.old")
    if folder.exists():
        folder.rename(aside)
    try:
        draft.rename(folder)
    except OSError:
        if aside.exists():
            aside.rename(folder)
        raise
    flush_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _given(case: Case) -> CaseSource:
    return lambda: case


class _Steps:
    """Counts steps, and passes on what they made."""

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def __call__(self, value: T) -> T:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)
        return value
