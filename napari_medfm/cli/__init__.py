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

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from napari_medfm import __version__
from napari_medfm.cli.evaluating import evaluate
from napari_medfm.cli.loading import load
from napari_medfm.cli.pretraining import pretrain
from napari_medfm.cli.prompts_file import FORMAT, read_objects
from napari_medfm.cli.terminal import (
    DAMAGED,
    NOT_WRITTEN,
    REFUSED,
    UNUSABLE_INPUT,
    UNUSABLE_MODEL,
    Flawed,
    Row,
    bar,
    complain,
    make_folder,
    show,
    track,
)
from napari_medfm.cli.zoo import models_app
from napari_medfm.errors import (
    JournalDamagedError,
    MedfmError,
    ModelError,
    SessionError,
    UnreadableFileError,
    WriteError,
)
from napari_medfm.files import atomic_write
from napari_medfm.settings import DEFAULT_MODEL, load_settings

if TYPE_CHECKING:
    from napari_medfm.inference import DiskStore
    from napari_medfm.models import PromptableModel
    from napari_medfm.session import AnnotationSession, LiveSegmentation, ObjectClass
    from napari_medfm.volume import Volume, Window

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
    """Prints what a command returns, and shows an expected failure as a message and an exit code, never a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        others = [argument for argument in args if argument != "--json"]
        return super().parse_args(ctx, others if len(others) == len(args) else ["--json", *others])

    def invoke(self, ctx: Any) -> None:
        try:
            show(super().invoke(ctx), ctx.params["as_json"])
        except Flawed as found:
            show(found.result, ctx.params["as_json"])
            raise typer.Exit(found.code) from found
        except MedfmError as error:
            complain(error)
            raise typer.Exit(next(code for kind, code in _EXIT_CODES if isinstance(error, kind))) from error


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold names of patients
    rich_markup_mode=None,  # square brackets in help texts are JSON
    help="Interactive annotation of medical volumes with promptable models. Research use only, not for diagnosis.",
)
session_app = typer.Typer(no_args_is_help=True, help="The journals of what was done to each image.")
app.add_typer(session_app, name="session")
cache_app = typer.Typer(no_args_is_help=True, help="The embeddings kept on disk; all of them can be made again.")
app.add_typer(cache_app, name="cache")
app.add_typer(models_app, name="models")

Image = Annotated[Path, typer.Argument(help="NIfTI file, 2-D PNG, JPEG or TIFF, or a DICOM folder.")]
ModelName = Annotated[str, typer.Option("--model", help="Name of the model; see the command 'models'.")]
Choice = Annotated[int | None, typer.Option(min=0, help="Which volume, where the file or folder holds several.")]
Weights = Annotated[Path | None, typer.Option(help="File of weights, for models that bring none.")]
WindowName = Annotated[str, typer.Option("--window", help="Preset such as abdomen or lung; 'auto' looks at the image.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Label file to write, .nii.gz or .nii.")]


def main() -> None:
    """Run the command line of this process."""
    app(prog_name="napari-medfm")


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; may stand anywhere.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command("open")
def open_image(image: Image) -> None:
    """Open an image in napari with the panel beside it."""
    if not image.exists():
        raise UnreadableFileError(image.name, "is not there", "Check the name and the folder.")
    # A process of its own: the core never imports napari.
    command = [sys.executable, "-m", "napari", str(image), "--with", "napari-medfm"]
    if image.is_dir() or image.name.lower().endswith((".nii", ".nii.gz")):
        command += ["--plugin", "napari-medfm"]  # napari would ask which reader to use
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command(epilog=FORMAT)
def segment(
    image: Image,
    prompts: Annotated[Path, typer.Option(help="JSON file of objects and their prompts, as shown below.")],
    output: Output,
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    window: WindowName = "auto",
    choice: Choice = None,
) -> list[Row]:
    """Segment an image from prompts in a file, and save labels that lie exactly on it.

    The prompts are given to the model one by one, as a person would.
    """
    from napari_medfm.evaluation import ask
    from napari_medfm.session import ObjectClass

    volume = _open(image, choice)
    wanted = read_objects(prompts)
    kinds = tuple(ObjectClass(name) for name in dict.fromkeys(thing.class_name for thing in wanted) if name)
    with _conversation(volume, load(model, weights), _window(volume, window), kinds) as (session, live):
        for thing in wanted:
            number = session.add_object(thing.class_name, thing.name)
            for prompt in track(thing.prompts, session.state.object(number).name, len(thing.prompts)):
                ask(live, prompt)
        session.save_labels(output)
        return _objects(session)


@app.command()
def demo(
    image: Image,
    expert: Annotated[Path, typer.Argument(help="Expert labels on the grid of the image.")],
    classes: Annotated[Path, typer.Option(help="Class list; expert label k is its k-th class.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for labels and picture.")] = Path("out"),
    only: Annotated[list[str] | None, typer.Option(help="A class to segment; may be repeated. Default: all.")] = None,
    clicks: Annotated[int, typer.Option(min=1, help="Clicks per slice at most.")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the session, for the panel to resume.")] = False,
) -> list[Row]:
    """Let a robot user segment an image as an expert did, with a box and clicks per slice, and compare them.

    Writes the labels and a picture, and tells Dice per object.
    """
    from napari_medfm.evaluation import draw_comparison, expert_masks, segment_like_expert
    from napari_medfm.session import read_classes
    from napari_medfm.volume import open_labels

    volume = _open(image, None)
    kinds = read_classes(classes)
    masks = expert_masks(open_labels(expert, volume), kinds)
    names = only or list(masks)
    unknown = [name for name in names if name not in masks]
    if unknown:
        raise typer.BadParameter(f"the expert marked no {', '.join(unknown)}", param_hint="--only")
    window = _window(volume, "auto")
    with _conversation(volume, load(DEFAULT_MODEL), window, kinds, keep=keep) as (session, live):
        steps = segment_like_expert(session, live, {name: masks[name] for name in names}, clicks=clicks)
        scores = list(track(steps, "Segmenting", len(names)))
        picture = draw_comparison(session, {score.object_id: masks[score.name] for score in scores}, window)
        make_folder(output)
        written = session.save_labels(output / "labels.nii.gz"), atomic_write(output / "picture.png", picture.save)
    typer.echo(f"Wrote {written[0]} and {written[1]}", err=True)
    return [asdict(score) for score in scores]


app.command()(evaluate)
app.command()(pretrain)


@app.command()
def embed(
    image: Image,
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    axis: Annotated[Axis, typer.Option(help="Across which axis to take the slices.")] = Axis.AXIAL,
    window: WindowName = "auto",
    choice: Choice = None,
) -> Row:
    """Embed every slice of an image into the cache, so that later prompts are answered at once."""
    from napari_medfm.inference import Predictor, embed_planes
    from napari_medfm.volume import fingerprint

    volume = _open(image, choice)
    seen = _window(volume, window)
    predictor = Predictor(load(model, weights), _disk_store())
    if not predictor.spec.cacheable:
        raise ModelError(model, "makes no embeddings worth keeping", "Choose another model.")
    planes = volume.geometry.planes(list(Axis).index(axis))
    steps = embed_planes(predictor, volume, fingerprint(volume), seen, planes)
    with bar("Embedding") as move:
        for progress in filter(None, steps):
            move(progress.done, progress.total)
    return {"image": volume.name, "model": model, "axis": axis.value, "planes": len(planes)}


@session_app.command("verify")
def session_verify(
    image: Annotated[Path | None, typer.Argument(help="The image; without it every session is verified.")] = None,
    choice: Choice = None,
) -> list[Row]:
    """Recompute the chain of digests of a journal and replay it; leaves with 5 if it is not what was written."""
    from napari_medfm.session import journal_path, verify

    if image is None:
        paths = sorted(load_settings().sessions_dir.glob("*.medfm"))
    else:
        paths = [journal_path(_fingerprint(image, choice))]
    reports = {path.name: verify(path) for path in track(paths, "Verifying", len(paths))}
    rows = [{"journal": name, "intact": report.intact, **asdict(report)} for name, report in reports.items()]
    if not all(row["intact"] for row in rows):
        raise Flawed(rows, DAMAGED)
    return rows


@session_app.command("recover")
def session_recover(image: Image, choice: Choice = None) -> Row:
    """Save what is intact of a damaged journal into a new one; the damaged one is kept beside it."""
    from napari_medfm.session import recover

    found = recover(_fingerprint(image, choice))
    return {"events": found.events, "reason": found.reason, "kept_aside_as": found.aside.name}


@session_app.command("export")
def session_export(image: Image, output: Output, choice: Choice = None) -> list[Row]:
    """Save the labels of an image's session, exactly on the image."""
    from napari_medfm.session import AnnotationSession
    from napari_medfm.volume import fingerprint

    volume = _open(image, choice)
    with AnnotationSession.resume(volume, fingerprint(volume)) as session:
        session.save_labels(output)
        return _objects(session)


@cache_app.command("info")
def cache_info() -> Row:
    """Say what the cache holds."""
    store = _disk_store()
    info = store.info()
    return {"entries": info.entries, "bytes": info.bytes, "budget_bytes": store.budget_bytes}


@cache_app.command("verify")
def cache_verify() -> Row:
    """Read every entry again and remove what is damaged; leaves with 5 if anything was."""
    with bar("Verifying") as move:
        check = _disk_store().verify(move)
    if check.removed:
        raise Flawed(asdict(check), DAMAGED)
    return asdict(check)


@cache_app.command("prune")
def cache_prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove every entry.")] = False,
    to_gb: Annotated[float | None, typer.Option(min=0, help="Keep at most this much; the budget if not given.")] = None,
) -> Row:
    """Remove the entries that were not used for longest."""
    store = _disk_store()
    if everything:
        freed = store.clear()
    else:
        freed = store.prune(store.budget_bytes if to_gb is None else int(to_gb * 1e9))
    return {"freed_bytes": freed}


def _open(image: Path, choice: int | None) -> "Volume":
    from napari_medfm.volume import open_volume

    return open_volume(image, choice=choice)


def _fingerprint(image: Path, choice: int | None) -> str:
    from napari_medfm.volume import fingerprint

    return fingerprint(_open(image, choice))


@contextmanager
def _conversation(
    volume: "Volume",
    model: "PromptableModel",
    window: "Window",
    classes: "Sequence[ObjectClass]",
    *,
    keep: bool = False,
) -> "Iterator[tuple[AnnotationSession, LiveSegmentation]]":
    """Begin a session and its conversation with a model; unless kept, its journal goes when the block ends."""
    from napari_medfm.inference import MemoryStore, Predictor, TieredStore, open_lane
    from napari_medfm.session import AnnotationSession, LiveSegmentation
    from napari_medfm.volume import fingerprint

    store = TieredStore([MemoryStore(load_settings().memory_bytes), _disk_store()])
    with tempfile.TemporaryDirectory() as folder, open_lane() as lane:
        where = None if keep else Path(folder)
        with AnnotationSession.create(volume, fingerprint(volume), folder=where, classes=classes) as session:
            live = LiveSegmentation(session, Predictor(model, store), lane, window=window)
            try:
                yield session, live
            finally:
                live.close()


def _objects(session: "AnnotationSession") -> list[Row]:
    """Return what the table of objects shows."""
    return [
        {
            "id": number,
            "name": thing.name,
            "class": thing.class_name,
            "prompts": len(thing.prompts),
            "voxels": session.voxel_count(number),
            "ml": session.volume_ml(number),
        }
        for number, thing in session.state.objects.items()
    ]


def _window(volume: "Volume", name: str) -> "Window":
    from napari_medfm.volume import PRESETS, automatic_window

    if name == "auto":
        return automatic_window(volume)
    if name not in PRESETS:
        raise typer.BadParameter(f"{name!r} is not one of auto, {', '.join(PRESETS)}", param_hint="--window")
    return PRESETS[name]


def _disk_store() -> "DiskStore":
    from napari_medfm.inference import DiskStore

    settings = load_settings()
    return DiskStore(settings.embeddings_dir, settings.cache_bytes)
