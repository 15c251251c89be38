"""The command line: thin subcommands over the functions anyone can call from Python.

Exit codes::

    0  done
    1  an unexpected error, shown with its traceback: please report it
    2  the command itself is wrong
    3  an input cannot be used: an image, prompts, a setting
    4  refused by the session: locked, or written by another process
    5  a verification found damage
    6  the model or its weights cannot be used
    7  an output could not be written

With ``--json`` the result is one JSON value on the standard output; messages and
bars go to the standard error stream. The rooms that take long to import are
imported by the commands that need them, so that ``--help`` answers at once.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer.core import TyperGroup

from napari_medfm import __version__
from napari_medfm.errors import (
    ChoiceRequiredError,
    JournalDamagedError,
    MedfmError,
    ModelError,
    SessionError,
    WriteError,
)
from napari_medfm.settings import load_settings

if TYPE_CHECKING:
    from napari_medfm.inference.disk import DiskStore
    from napari_medfm.models import PromptableModel
    from napari_medfm.volume import Volume, Window

UNUSABLE_INPUT, REFUSED, DAMAGED, UNUSABLE_MODEL, NOT_WRITTEN = 3, 4, 5, 6, 7

# The first that fits; the narrower ones come first.
_EXIT_CODES: tuple[tuple[type[MedfmError], int], ...] = (
    (JournalDamagedError, DAMAGED),
    (SessionError, REFUSED),
    (ModelError, UNUSABLE_MODEL),
    (WriteError, NOT_WRITTEN),
    (MedfmError, UNUSABLE_INPUT),
)


class Axis(StrEnum):
    """Names of the planes, in the order of the axes they lie across."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class _Commands(TyperGroup):
    """Shows an expected failure as a message and an exit code, never as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MedfmError as error:
            _complain(error)
            raise typer.Exit(next(code for kind, code in _EXIT_CODES if isinstance(error, kind))) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    help="Interactive annotation of medical volumes with promptable models. Research use only, not for diagnosis.",
)
cache_app = typer.Typer(no_args_is_help=True, help="The embeddings kept on disk; all of them can be made again.")
app.add_typer(cache_app, name="cache")

Image = Annotated[Path, typer.Argument(help="NIfTI file, 2-D PNG, JPEG or TIFF, or a DICOM folder.")]
Choice = Annotated[int | None, typer.Option(min=0, help="Which volume, where the file or folder holds several.")]
Weights = Annotated[Path | None, typer.Option(help="File of weights, for models that bring none.")]
WindowName = Annotated[str, typer.Option("--window", help="Preset such as abdomen or lung; 'auto' looks at the image.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main() -> None:
    """Run the command line of this process."""
    app(prog_name="napari-medfm")


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command("open")
def open_image(image: Image) -> None:
    """Open an image in napari with the panel beside it."""
    # A process of its own: the core never imports napari.
    command = [sys.executable, "-m", "napari", str(image), "--with", "napari-medfm"]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def embed(
    image: Image,
    model: Annotated[str, typer.Option(help="Name of the model; see the command 'models'.")] = "sam",
    weights: Weights = None,
    axis: Annotated[Axis, typer.Option(help="Across which axis to take the slices.")] = Axis.AXIAL,
    window: WindowName = "auto",
    choice: Choice = None,
    as_json: Json = False,
) -> None:
    """Embed every slice of an image into the cache, so that later prompts are answered at once."""
    from napari_medfm.inference import Predictor, embed_planes
    from napari_medfm.volume import fingerprint

    volume = _open(image, choice)
    predictor = Predictor(_load(model, weights), _disk_store())
    if not predictor.spec.cacheable:
        raise ModelError(model, "makes no embeddings worth keeping", "Choose another model.")
    planes = volume.geometry.planes(list(Axis).index(axis))
    steps = embed_planes(predictor, volume, fingerprint(volume), _window(volume, window), planes)
    with _bar("Embedding", len(planes)) as advance:
        for progress in steps:
            advance(progress.done)
    _show({"image": volume.name, "model": model, "axis": axis.value, "planes": len(planes)}, as_json)


@app.command()
def models(as_json: Json = False) -> None:
    """List the models that can be loaded."""
    from napari_medfm.models import available_models

    rows = [{"name": entry.name, **asdict(entry.facts)} for entry in available_models()]
    _show(rows, as_json)


@cache_app.command("info")
def cache_info(as_json: Json = False) -> None:
    """Say what the cache holds."""
    store = _disk_store()
    info = store.info()
    _show({"entries": info.entries, "bytes": info.bytes, "budget_bytes": store.budget_bytes}, as_json)


@cache_app.command("verify")
def cache_verify(as_json: Json = False) -> None:
    """Read every entry again and remove what is damaged; leaves with 5 if anything was."""
    with _bar("Verifying") as advance:
        check = _disk_store().verify(advance)
    _show(asdict(check), as_json)
    if check.removed:
        raise typer.Exit(DAMAGED)


@cache_app.command("prune")
def cache_prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove every entry.")] = False,
    to_gb: Annotated[float | None, typer.Option(min=0, help="Keep at most this much; the budget if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Remove the entries that were not used for longest."""
    store = _disk_store()
    if everything:
        freed = store.clear()
    else:
        freed = store.prune(store.budget_bytes if to_gb is None else int(to_gb * 1e9))
    _show({"freed_bytes": freed}, as_json)


def _open(image: Path, choice: int | None) -> "Volume":
    from napari_medfm.volume import open_volume

    return open_volume(image, choice=choice)


def _load(model: str, weights: Path | None) -> "PromptableModel":
    from napari_medfm.models import load_model

    return load_model(model) if weights is None else load_model(model, weights=weights)


def _window(volume: "Volume", name: str) -> "Window":
    from napari_medfm.volume import PRESETS, automatic_window

    if name == "auto":
        return automatic_window(volume)
    if name not in PRESETS:
        raise typer.BadParameter(f"{name!r} is not one of auto, {', '.join(PRESETS)}", param_hint="--window")
    return PRESETS[name]


def _disk_store() -> "DiskStore":
    from napari_medfm.inference.disk import DiskStore

    settings = load_settings()
    return DiskStore(settings.embeddings_dir, settings.cache_bytes)


def _complain(error: MedfmError) -> None:
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    console.print(str(error))
    if isinstance(error, ChoiceRequiredError):
        for number, label in enumerate(error.choices):
            console.print(f"  --choice {number}  {label}")


def _show(result: dict[str, Any] | list[dict[str, Any]], as_json: bool) -> None:
    """Print a result: JSON for machines; for people a table of many rows, or one fact per line."""
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
    return f"{value:.3f}" if isinstance(value, float) else str(value)


@contextmanager
def _bar(title: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a bar on a terminal, and nothing elsewhere; the block calls what it is given with (done[, total])."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)

        def advance(done: int, of: int | None = None) -> None:
            progress.update(task, completed=done, total=total if of is None else of)

        yield advance
