"""A project: cases in a database, taken, finished and reviewed by several people at once."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from napari_medfm.errors import ProjectError
from napari_medfm.files import private_folder
from napari_medfm.projects.cases import Case, CaseStatus, Change, Progress, check_step
from napari_medfm.projects.database import FILE, changing, create, reading
from napari_medfm.projects.finding import Found
from napari_medfm.session import ObjectClass

_STATE = ("status", "annotator", "reviewer", "note")


class Project:
    """The cases of a folder. Any number of processes and threads may hold it; each call is complete by itself.

    Parameters
    ----------
    folder : Path
        With a project in it, see `create`.

    Raises
    ------
    ProjectError
        There is none, or it is damaged. Nothing is ever written over it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._path = self.folder / FILE
        self.progress()

    @classmethod
    def create(cls, folder: Path, classes: Sequence[ObjectClass] = ()) -> Self:
        """Make a project in a folder that is made for it, readable by its owner only: it knows where images are.

        Parameters
        ----------
        folder : Path
            New, or without a project.
        classes : sequence of ObjectClass
            What is to be annotated.

        Raises
        ------
        ProjectError
            There is a project already, or the folder cannot be written to.
        """
        folder = Path(folder)
        try:
            if not folder.exists():
                private_folder(folder)
        except OSError as error:
            raise ProjectError(folder.name, "cannot be made", "Check permissions, or choose another folder.") from error
        create(folder / FILE, [(kind.name, json.dumps(kind.colour), kind.parent) for kind in classes])
        return cls(folder)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder holds a project, or something that takes its place."""
        return (Path(folder) / FILE).exists()

    @property
    def classes(self) -> tuple[ObjectClass, ...]:
        """What is to be annotated, in order."""
        with reading(self._path) as database:
            rows = database.execute("SELECT name, colour, parent FROM classes ORDER BY position").fetchall()
        colours = [tuple(json.loads(row["colour"])) for row in rows]
        return tuple(
            ObjectClass(row["name"], (red, green, blue), row["parent"])
            for row, (red, green, blue) in zip(rows, colours, strict=True)
        )

    def add(self, found: Iterable[Found]) -> tuple[Case, ...]:
        """Add images as cases to do, and return those that were not there before, by their voxels.

        Each is in the project as soon as it was read. Images that cannot be used are passed over. A case whose image
        is no more where it was gets the place where it was found now.
        """
        added = (self._add(one) for one in found if not one.problem)
        return tuple(case for case in added if case is not None)

    def _add(self, found: Found) -> Case | None:
        values = asdict(found) | {
            "path": str(self._stored(found.path)),
            "shape": json.dumps(found.shape),
            "spacing": json.dumps(found.spacing),
        }
        with changing(self._path) as database:
            cursor = database.execute(
                "INSERT INTO cases (path, choice, fingerprint, patient, modality, shape, spacing, status, annotator, "
                "reviewer, note, version) VALUES (:path, :choice, :fingerprint, :patient, :modality, :shape, :spacing, "
                "'to do', '', '', '', 1) ON CONFLICT (fingerprint) DO NOTHING",
                values,
            )
            if cursor.rowcount and cursor.lastrowid:
                return self._case(database, cursor.lastrowid)
            self._follow(database, values)
            return None

    def _follow(self, database: sqlite3.Connection, values: dict[str, Any]) -> None:
        """Take an image that was moved where it is now."""
        row = database.execute("SELECT path FROM cases WHERE fingerprint = :fingerprint", values).fetchone()
        if not (self.folder / row["path"]).exists():
            database.execute("UPDATE cases SET path = :path, choice = :choice WHERE fingerprint = :fingerprint", values)

    def cases(
        self, *, status: CaseStatus | None = None, patient: str | None = None, annotator: str | None = None
    ) -> tuple[Case, ...]:
        """Return the cases, by id; of one status, patient or annotator, if asked for."""
        wanted = {"status": status, "patient": patient, "annotator": annotator}
        given = {name: str(value) for name, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(f'{name} = :{name}' for name in given)}" if given else ""
        with reading(self._path) as database:
            rows = database.execute(f"SELECT * FROM cases {where} ORDER BY id", given).fetchall()
        return tuple(map(self._from_row, rows))

    def case(self, number: int) -> Case:
        """Return one case.

        Raises
        ------
        ProjectError
            There is none of that id.
        """
        with reading(self._path) as database:
            return self._case(database, number)

    def take_next(self, person: str) -> Case | None:
        """Return the case that a person is to go on with, now in progress with that person; None if all are taken.

        A case that this person left in progress comes first. No case is given to two people.

        Raises
        ------
        ProjectError
            Nobody is named.
        """
        with changing(self._path) as database:
            row = database.execute(
                "SELECT * FROM cases WHERE status = 'in progress' AND annotator = ? ORDER BY id LIMIT 1", (person,)
            ).fetchone()
            if row is not None:
                return self._from_row(row)
            row = database.execute("SELECT * FROM cases WHERE status = 'to do' ORDER BY id LIMIT 1").fetchone()
            return None if row is None else self._step(database, self._from_row(row), CaseStatus.IN_PROGRESS, person)

    def change(self, case: Case, status: CaseStatus, person: str, note: str | None = None) -> Case:
        """Take a case a step further, and return what it is now.

        From done it is reviewed by a second person, or goes back: to do, for somebody to do it again.

        Parameters
        ----------
        case : Case
            As it was read.
        status : CaseStatus
            What it is to be.
        person : str
            Who says so.
        note : str, optional
            What to tell the next one; the earlier note stays if it is not given.

        Raises
        ------
        ProjectError
            The step does not follow, or the case was changed since it was read: what the other did stays.
        """
        with changing(self._path) as database:
            now = self._case(database, case.id)
            if now.version != case.version:
                reason = f"was changed meanwhile: it is {now.status} now" + f" ({now.annotator})" * bool(now.annotator)
                raise ProjectError(case.title, reason, "Look at it again, then decide.")
            return self._step(database, now, status, person, note)

    def progress(self) -> Progress:
        """Return how many cases are how far."""
        with reading(self._path) as database:
            rows = database.execute("SELECT status, count(*) FROM cases GROUP BY status").fetchall()
        return Progress({status: dict(map(tuple, rows)).get(str(status), 0) for status in CaseStatus})

    def history(self, number: int | None = None) -> tuple[Change, ...]:
        """Return every change of a case, or of all, in the order they were made."""
        with reading(self._path) as database:
            rows = database.execute("SELECT * FROM changes ORDER BY number").fetchall()
        changes = (
            Change(row["case_id"], row["time"], row["person"], CaseStatus(row["status"]), row["note"]) for row in rows
        )
        return tuple(change for change in changes if number is None or change.case == number)

    def _step(
        self, database: sqlite3.Connection, case: Case, status: CaseStatus, person: str, note: str | None = None
    ) -> Case:
        check_step(case, status, person)
        new = replace(case, status=status, version=case.version + 1, note=case.note if note is None else note)
        if status is CaseStatus.IN_PROGRESS:
            new = replace(new, annotator=person, reviewer="")
        elif case.status is CaseStatus.DONE:
            new = replace(new, reviewer=person)
        values = {name: str(getattr(new, name)) for name in _STATE}
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        database.execute(
            f"UPDATE cases SET {assignments}, version = :version WHERE id = :id",
            values | {"version": new.version, "id": new.id},
        )
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        database.execute(
            "INSERT INTO changes (case_id, time, person, status, note) VALUES (?, ?, ?, ?, ?)",
            (new.id, moment, person, str(status), note or ""),
        )
        return new

    def _case(self, database: sqlite3.Connection, number: int) -> Case:
        row = database.execute("SELECT * FROM cases WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise ProjectError(f"case {number}", "is not in the project", "Look at the list of cases.")
        return self._from_row(row)

    def _from_row(self, row: sqlite3.Row) -> Case:
        values: dict[str, Any] = dict(row)
        read: dict[str, Any] = {name: tuple(json.loads(values.pop(name))) for name in ("shape", "spacing")}
        path, status = self.folder / values.pop("path"), CaseStatus(values.pop("status"))
        return Case(path=path, status=status, **read, **values)

    def _stored(self, path: Path) -> Path:
        """Return a path as it is kept: relative inside the folder of the project, so that it may move with it."""
        whole, home = path.resolve(), self.folder.resolve()
        return whole.relative_to(home) if whole.is_relative_to(home) else whole
