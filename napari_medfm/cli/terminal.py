"""What a command shows: results as tables or JSON, messages, bars; and the codes it leaves with."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from napari_medfm.errors import ChoiceRequiredError, MedfmError, WriteError

T = TypeVar("T")

Row = dict[str, Any]
Result = Row | list[Row] | None

UNUSABLE_INPUT, REFUSED, DAMAGED, UNUSABLE_MODEL, NOT_WRITTEN = 3, 4, 5, 6, 7


class Flawed(Exception):
    """A command did its work and found something wrong.

    Parameters
    ----------
    result : Result
        Shown all the same.
    code : int
        To leave with.
    """

    def __init__(self, result: Result, code: int) -> None:
        super().__init__(result, code)
        self.result = result
        self.code = code


def complain(error: MedfmError) -> None:
    """Print a message, and what there is to choose from."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    console.print(str(error))
    if isinstance(error, ChoiceRequiredError):
        for number, label in enumerate(error.choices):
            console.print(f"  --choice {number}  {label}")


def show(result: Result, as_json: bool) -> None:
    """Print a result: JSON for machines; for people a table of many rows, or one fact per line."""
    if result is None:
        return
    if as_json:
        typer.echo(json.dumps(result))
    elif isinstance(result, dict):
        typer.echo("\n".join(f"{name.replace('_', ' ')}: {_cell(value)}" for name, value in result.items()))
    else:
        table = Table(*[name.replace("_", " ") for name in result[0]] if result else ())
        for row in result:
            table.add_row(*[_cell(value) for value in row.values()])
        # Into a file or a pipe nothing is cut off.
        Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and value.keys() == {"mean", "low", "high"}:
        return "{mean:.2f} ({low:.2f}-{high:.2f})".format(**value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _progress() -> Progress:
    """Return a bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def track(steps: Iterable[T], title: str, total: int | None) -> Iterator[T]:
    """Pass on the steps of long work, counted by a bar; None if nobody knows how many there are."""
    with _progress() as progress:
        yield from progress.track(steps, total=total, description=title)


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar that the block moves by calling what it is given with (done, total)."""
    with _progress() as progress:
        task = progress.add_task(title, total=None)

        def move(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield move


def make_folder(path: Path) -> None:
    """Make a folder unless it is there.

    Raises
    ------
    WriteError
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"is no folder that can be written to ({error.strerror})"
        raise WriteError(path.name, reason, "Choose another.") from error
