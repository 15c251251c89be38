"""Changes that are worked out on any thread, and made by the session's own only if nothing else happened meanwhile."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from napari_medfm.errors import MedfmError
from napari_medfm.session import drafts
from napari_medfm.session.edits import Mask
from napari_medfm.session.ledger import Draft, Ledger
from napari_medfm.session.request import PredictionRequest
from napari_medfm.volume import Geometry, Region

Found = TypeVar("Found")
Found_co = TypeVar("Found_co", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What was worked out, to be done by `AnnotationSession.carry_out`.

    Attributes
    ----------
    draft : Draft
        The event.
    revision : int
        That of the ledger when it was begun: at another one it is out of date.
    added, removed : int
        How many voxels the object gains and loses, where that was counted.
    """

    draft: Draft
    revision: int
    added: int = 0
    removed: int = 0


class Work(Protocol[Found_co]):
    """Something to be worked out by `AnnotationSession.work_out`."""

    def plan(self, ledger: Ledger, geometry: Geometry) -> Found_co:
        """Read the session, and return what was found; nothing is changed."""


@dataclass(frozen=True, slots=True, eq=False)
class Answering:
    """A model's answer for a volume, whose voxels are too many for the thread that draws.

    Attributes
    ----------
    request : PredictionRequest
        What was asked.
    mask : ndarray of bool, (z, y, x)
        The answer in the box.
    box : Region or None
        The voxels that are answered for.
    facts : mapping
        Who answered, see `authorship`.
    """

    request: PredictionRequest
    mask: Mask
    box: Region | None
    facts: Mapping[str, Any]

    def plan(self, ledger: Ledger, geometry: Geometry) -> Plan | None:
        """Work out what the answer changes; None if it comes too late to be right."""
        revision, state = ledger.revision, ledger.state
        draft = drafts.answer(state, ledger.voxels, ledger.history, self.request, self.mask, self.facts, self.box)
        return None if draft is None else Plan(draft, revision)


def worked_out(work: Work[Found], ledger: Ledger, geometry: Geometry) -> Found:
    """Return what was found, on any thread; where the voxels changed while they were read, it is looked for anew."""
    while True:
        revision = ledger.revision
        try:
            return work.plan(ledger, geometry)
        except MedfmError:
            raise
        except Exception:
            if revision == ledger.revision:
                raise


def authorship(model: str, model_digest: str, quality: float, adapters: Sequence[str]) -> dict[str, Any]:
    """Return who gave an answer, for the record: as `AnnotationSession.apply_mask` is told it."""
    known = float(quality) if math.isfinite(quality) else 0.0
    return {"model": model, "model_digest": model_digest, "quality": known, "adapters": list(adapters)}
