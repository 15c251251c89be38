"""The log of a training: JSON lines, one for each stretch of steps."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from napari_medfm.errors import PretrainingError
from napari_medfm.files import atomic_write_bytes


@dataclass(frozen=True, slots=True)
class Record:
    """Means over the steps since the last record.

    Attributes
    ----------
    steps, samples : int
        Done so far.
    minutes : float
        Worked so far.
    side : int
        Of the views, in pixels.
    loss : float
        What is minimised.
    first_iou, last_iou : float
        After the first and the last prompt of an object.
    learning_rate : float
        At the last step.
    samples_per_second : float
        Objects asked for.
    """

    steps: int
    samples: int
    minutes: float
    side: int
    loss: float
    first_iou: float
    last_iou: float
    learning_rate: float
    samples_per_second: float


def read_records(path: Path) -> tuple[Record, ...]:
    """Read a log; there are none if there is no file.

    Raises
    ------
    PretrainingError
        It is no such log.
    """
    if not path.exists():
        return ()
    names = {field.name for field in fields(Record)}
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return tuple(Record(**{name: row[name] for name in names}) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PretrainingError(
            path.name, "is no log of a training", "Remove it, or begin in another folder."
        ) from error


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write a log whole: after a stop, what was not saved is done and told again."""
    atomic_write_bytes(path, _lines(records))


def _lines(records: Iterable[Record]) -> bytes:
    return "".join(json.dumps(asdict(record)) + "\n" for record in records).encode()
