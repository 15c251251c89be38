"""What a search found in the cases of a project, and what people said of it, in the project's database.

What was refused is what the next search stays away from. Descriptions are kept with the digest of the encoder that
made them: those of another model tell nothing.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_medfm.errors import ProjectError
from napari_medfm.projects.database import FILE, changing, reading
from napari_medfm.projects.lookalikes import Box, Floats, overlap
from napari_medfm.projects.project import Project
from napari_medfm.volume import Plane

if TYPE_CHECKING:
    from napari_medfm.projects.searching import Candidate

_SAME = 0.3  # IoU from which a box is one that was judged before

_TABLE = (
    "CREATE TABLE IF NOT EXISTS candidates (id INTEGER PRIMARY KEY, structure TEXT NOT NULL, "
    "case_id INTEGER NOT NULL REFERENCES cases (id), axis INTEGER NOT NULL, slice INTEGER NOT NULL, box TEXT NOT NULL, "
    "score REAL NOT NULL, verdict TEXT NOT NULL, person TEXT NOT NULL, encoder TEXT NOT NULL, "
    "description BLOB NOT NULL, version INTEGER NOT NULL)"
)
_INSERT = (
    "INSERT INTO candidates (structure, case_id, axis, slice, box, score, verdict, person, encoder, description, "
    "version) VALUES (?, ?, ?, ?, ?, ?, 'new', '', ?, ?, 1)"
)


class Verdict(StrEnum):
    """What people say of a candidate."""

    NEW = "new"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A candidate as the project knows it.

    Attributes
    ----------
    id : int
        From 1.
    structure : str
        What was looked for.
    case : int
        Id of the case it is in.
    plane : Plane
        The slice.
    box : Box
        Where on it, in voxels.
    score : float
        When it was found.
    verdict : Verdict
        What was said of it.
    person : str
        By whom; empty if nobody did.
    description : ndarray of float32
        By which it is compared.
    version : int
        Grows with every verdict.
    """

    id: int
    structure: str
    case: int
    plane: Plane
    box: Box
    score: float
    verdict: Verdict
    person: str
    description: Floats
    version: int


class Gallery:
    """The candidates of a project. Any number of processes and threads may hold it; each call is complete by itself.

    Parameters
    ----------
    project : Project
        Whose cases were searched.
    """

    def __init__(self, project: Project) -> None:
        self._path = project.folder / FILE

    def keep(self, structure: str, encoder: str, case: int, found: "Iterable[Candidate]") -> tuple[Kept, ...]:
        """Keep what a search found in a case, in place of what an earlier one found and nobody judged.

        Returns
        -------
        tuple of Kept
            All that is known of the case now, best first. What was judged stays as it is, and is not kept twice.
        """
        with changing(self._path) as database:
            database.execute(_TABLE)
            database.execute(
                "DELETE FROM candidates WHERE structure = ? AND case_id = ? AND verdict = 'new'", (structure, case)
            )
            judged = _select(database, "structure = ? AND case_id = ?", (structure, case))
            for each in found:
                if not any(_is_same(each, known) for known in judged):
                    place = each.plane.axis, each.plane.index, json.dumps(each.box)
                    content = np.ascontiguousarray(each.description, dtype="<f4").tobytes()
                    database.execute(_INSERT, (structure, case, *place, each.score, encoder, content))
            return _select(database, "structure = ? AND case_id = ?", (structure, case))

    def judge(self, candidate: Kept, verdict: Verdict, person: str) -> Kept:
        """Say what a candidate is, and return what it is now.

        Raises
        ------
        ProjectError
            Nobody is named; another said something since it was read, which stays; or a later search replaced it.
        """
        if not person.strip():
            raise ProjectError(f"candidate {candidate.id}", "is judged by nobody", "Say who you are.")
        with changing(self._path) as database:
            changed = database.execute(
                "UPDATE candidates SET verdict = ?, person = ?, version = version + 1 WHERE id = ? AND version = ?",
                (str(verdict), person, candidate.id, candidate.version),
            ).rowcount
            now = _select(database, "id = ?", (candidate.id,))
            if changed:
                return now[0]
        reason = f"is {now[0].verdict} now ({now[0].person})" if now else "was replaced by a later search"
        raise ProjectError(f"candidate {candidate.id}", reason, "Look at it again, then decide.")

    def candidates(self, structure: str, verdict: Verdict | None = None) -> tuple[Kept, ...]:
        """Return what was found of a structure, best first; of one verdict, if asked for."""
        where, values = "structure = ?", [structure]
        if verdict is not None:
            where, values = f"{where} AND verdict = ?", [*values, str(verdict)]
        return self._read(where, values)

    def refused(self, structure: str, encoder: str) -> list[Floats]:
        """Return descriptions by one encoder of all that was rejected, for `Query.without`."""
        kept = self._read("structure = ? AND encoder = ? AND verdict = 'rejected'", (structure, encoder))
        return [each.description for each in kept]

    def _read(self, where: str, values: Sequence[object]) -> tuple[Kept, ...]:
        with reading(self._path) as database:
            there = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'candidates'").fetchone()
            return _select(database, where, values) if there else ()


def _select(database: sqlite3.Connection, where: str, values: Sequence[object]) -> tuple[Kept, ...]:
    rows = database.execute(f"SELECT * FROM candidates WHERE {where} ORDER BY score DESC, id", values).fetchall()
    return tuple(map(_from_row, rows))


def _from_row(row: sqlite3.Row) -> Kept:
    top, left, bottom, right = json.loads(row["box"])
    description = np.frombuffer(row["description"], dtype="<f4")
    place = Plane(row["axis"], row["slice"]), (top, left, bottom, right)
    said = row["score"], Verdict(row["verdict"]), row["person"]
    return Kept(row["id"], row["structure"], row["case_id"], *place, *said, description, row["version"])


def _is_same(candidate: "Candidate", known: Kept) -> bool:
    return candidate.plane == known.plane and overlap(candidate.box, known.box) >= _SAME


def matched(found: "Iterable[Candidate]", kept: Sequence[Kept]) -> "list[tuple[Candidate, Kept | None]]":
    """Return each candidate with what the project knows of its place, if anything."""
    pairs = []
    for each in found:
        same = [known for known in kept if _is_same(each, known)]
        pairs.append((each, max(same, key=lambda known: overlap(each.box, known.box), default=None)))
    return pairs
