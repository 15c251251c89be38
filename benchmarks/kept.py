"""Results kept in a file as soon as they are there, so that a long benchmark goes on where it was stopped."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]
"""JSON values."""


class Kept:
    """Results by name, one line of the file each; without a file they are forgotten in the end.

    The first line holds the settings: results of others would not belong together.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, object]) -> None:
        self._path, self.known = path, dict[str, Result]()
        first = {"settings": dict(settings)}
        lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.is_file() else []
        if path is not None and lines and json.loads(lines[0]) != first:
            sys.exit(f"{path.name}: holds results of other settings; give another file")
        for entry in map(json.loads, lines[1:]):
            self.known[entry["name"]] = entry["result"]
        if not lines:
            self._write(first)

    def get(self, name: str, make: Callable[[], Result]) -> Result:
        """Return a result; it is made now if it was not before."""
        if name not in self.known:
            self.known[name] = make()
            self._write({"name": name, "result": self.known[name]})
        return self.known[name]

    def _write(self, entry: Mapping[str, object]) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
