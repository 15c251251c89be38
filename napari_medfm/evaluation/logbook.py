"""The record of an evaluation under way: what is done is never done again.

A file of JSON lines beside the report. The first line holds the settings; each other one a trial, or
that an image is finished. Lines are only ever added, and flushed to the disk one by one: after
a crash at most the line that was being written is lost, and it is done again.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_medfm.errors import EvaluationError, PromptError, WriteError
from napari_medfm.evaluation.trials import Trial, from_row, to_row
from napari_medfm.files import atomic_write_bytes

FILE_NAME = "trials.jsonl"

Settings = Mapping[str, Any]


class Logbook:
    """Trials that are done, and where they are kept.

    Parameters
    ----------
    folder : Path
        Of the evaluation's output; made if it is not there.
    settings : mapping
        Everything that decides the results, as JSON values.

    Attributes
    ----------
    trials : dict
        What is done, by `Trial.key`.
    finished : set of int
        Numbers of the cases of which nothing is left to do.

    Raises
    ------
    EvaluationError
        The folder holds an evaluation with other settings, or something that is none.
    WriteError
        The folder cannot be written to.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._path = folder / FILE_NAME
        self.trials: dict[tuple[int, int, int, str, str], Trial] = {}
        self.finished: set[int] = set()
        self._make(folder)
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        if not whole:
            atomic_write_bytes(self._path, _line({"settings": dict(settings)}))
            return
        if len(whole) < len(lines):
            atomic_write_bytes(self._path, b"".join(whole))
        self._check(whole[0], settings)
        for number, line in enumerate(whole[1:], start=2):
            self._take(line, number)

    def add(self, trial: Trial) -> None:
        """Keep a trial."""
        self.trials[trial.key] = trial
        self._append({"trial": to_row(trial)})

    def finish(self, case: int) -> None:
        """Note that nothing is left to do on a case."""
        self.finished.add(case)
        self._append({"finished": case})

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"is no folder that can be written to ({error.strerror})"
            raise WriteError(folder.name, reason, "Choose another.") from error

    def _append(self, value: Mapping[str, Any]) -> None:
        try:
            with self._path.open("ab") as stream:
                stream.write(_line(value))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            step = "Check free space and permissions, and run the same again: what is done is kept."
            raise WriteError(FILE_NAME, f"could not be written ({error.strerror or error})", step) from error

    def _check(self, line: bytes, settings: Settings) -> None:
        try:
            found = json.loads(line)["settings"]
        except (ValueError, KeyError, TypeError) as error:
            step = "Choose an empty folder."
            raise EvaluationError(FILE_NAME, "is no record of an evaluation", step) from error
        wanted = json.loads(_line(settings))
        other = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        if other:
            reason = f"is of an evaluation with other settings ({', '.join(other)})"
            raise EvaluationError(FILE_NAME, reason, "Choose another folder, or the settings it was begun with.")

    def _take(self, line: bytes, number: int) -> None:
        try:
            value = json.loads(line)
            if "finished" in value:
                self.finished.add(int(value["finished"]))
            else:
                trial = from_row(value["trial"])
                self.trials[trial.key] = trial
        except (ValueError, KeyError, TypeError, PromptError) as error:
            step = "Delete that line, or choose an empty folder."
            raise EvaluationError(f"{FILE_NAME}, line {number}", "is damaged", step) from error


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
