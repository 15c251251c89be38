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
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from napari_medfm import __version__
from napari_medfm.cli.adapting import adapt, segment_with_adapter
from napari_medfm.cli.caching import cache_app, embed
from napari_medfm.cli.deidentifying import SEGMENTATION_SUFFIX, deidentify, save_segmentation
from napari_medfm.cli.evaluating import evaluate
from napari_medfm.cli.exporting import export, train_check
from napari_medfm.cli.loading import (
    Choice,
    Image,
    ImageOrFolder,
    ModelName,
    Weights,
    WindowName,
    check_model,
    choose_window,
    load,
    open_image,
)
from napari_medfm.cli.pretraining import pretrain
from napari_medfm.cli.projecting import project_app
from napari_medfm.cli.prompts_file import FORMAT, Wanted, read_objects
from napari_medfm.cli.propagating import carry_object
from napari_medfm.cli.replaying import replay
from napari_medfm.cli.searching import search
from napari_medfm.cli.spreading import Cluster, Jobs
from napari_medfm.cli.terminal import (
    DAMAGED,
    NOT_WRITTEN,
    REFUSED,
    UNUSABLE_INPUT,
    UNUSABLE_MODEL,
    Flawed,
    Row,
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
app.add_typer(cache_app, name="cache")
app.add_typer(models_app, name="models")
app.add_typer(project_app, name="project")

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
def open_viewer(image: Image) -> None:
    """Open an image in napari with the panel beside it."""
    if not image.exists():
        raise UnreadableFileError(image.name, "is not there", "Check the name and the folder.")
    # A process of its own: the core never imports napari.
    command = [sys.executable, "-m", "napari", str(image), "--with", "napari-medfm", "Annotate"]
    if image.is_dir() or image.name.lower().endswith((".nii", ".nii.gz")):
        command += ["--plugin", "napari-medfm"]  # napari would ask which reader to use
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command(epilog=FORMAT)
def segment(  # noqa: PLR0913 - each argument is an option of the command
    image: ImageOrFolder,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Label file to write, .nii.gz or .nii; of a folder, a folder.")
    ],
    prompts: Annotated[
        Path | None, typer.Option(help="JSON file of objects and their prompts, as shown below.")
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="Adapter file: its structure is found on all axial slices, without prompts.")
    ] = None,
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    window: WindowName = "auto",
    choice: Choice = None,
    jobs: Jobs = 1,
    cluster: Cluster = "",
) -> list[Row]:
    """Segment an image from prompts in a file, or with an adapter, and save labels that lie exactly on it.

    The prompts are given to the model one by one, as a person would. With an adapter, all images of a folder and those
    inside it, or of a project, can be segmented: what is done already is skipped, one bad image stops no other.
    """
    from napari_medfm.projects.model_choice import ModelChoice

    if (prompts is None) == (adapter is None):
        raise typer.BadParameter("give one of the two", param_hint="--prompts or --adapter")
    if adapter is not None:
        check_model(model, weights)
        chosen = ModelChoice.of(model, weights, adapter)
        return segment_with_adapter(image, choice, chosen, window, output, jobs, cluster)
    assert prompts is not None
    volume = open_image(image, choice)
    wanted = read_objects(prompts)
    view = load(model, weights), choose_window(volume, window)
    with _conversation(volume, *view, _classes_of(wanted)) as (session, live):
        _prompt(session, live, wanted)
        session.save_labels(output)
        return _objects(session)


@app.command(epilog=FORMAT)
def propagate(  # noqa: PLR0913 - each argument is an option of the command
    image: Image,
    output: Output,
    prompts: Annotated[Path, typer.Option(help="JSON file of objects and their prompts, as shown below.")],
    most: Annotated[int, typer.Option(min=0, help="Slices beyond the prompts; 0: until the model is unsure.")] = 0,
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    window: WindowName = "auto",
    choice: Choice = None,
) -> list[Row]:
    """Segment a volume from prompts on a few slices: each object is carried from them into their neighbours.

    The slices with prompts are as 'segment' has them. Those of one object lie across one axis.
    """
    volume = open_image(image, choice)
    wanted = read_objects(prompts)
    view = load(model, weights), choose_window(volume, window)
    with _conversation(volume, *view, _classes_of(wanted)) as (session, live):
        _prompt(session, live, wanted)
        for number in list(session.state.objects):
            carry_object(session, live, number, most)
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

    volume = open_image(image, None)
    kinds = read_classes(classes)
    masks = expert_masks(open_labels(expert, volume), kinds)
    names = only or list(masks)
    unknown = [name for name in names if name not in masks]
    if unknown:
        raise typer.BadParameter(f"the expert marked no {', '.join(unknown)}", param_hint="--only")
    window = choose_window(volume, "auto")
    with _conversation(volume, load(DEFAULT_MODEL), window, kinds, keep=keep) as (session, live):
        steps = segment_like_expert(session, live, {name: masks[name] for name in names}, clicks=clicks)
        scores = list(track(steps, "Segmenting", len(names)))
        picture = draw_comparison(session, {score.object_id: masks[score.name] for score in scores}, window)
        make_folder(output)
        written = session.save_labels(output / "labels.nii.gz"), atomic_write(output / "picture.png", picture.save)
    typer.echo(f"Wrote {written[0]} and {written[1]}", err=True)
    return [asdict(score) for score in scores]


app.command()(adapt)
app.command()(evaluate)
app.command()(pretrain)
app.command()(embed)
app.command()(search)
app.command()(export)
app.command()(deidentify)
app.command("train-check")(train_check)
session_app.command()(replay)


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
    """Save the labels of an image's session, exactly on the image; of a DICOM series also as DICOM-SEG, .dcm."""
    from napari_medfm.session import AnnotationSession
    from napari_medfm.volume import fingerprint

    volume = open_image(image, choice)
    with AnnotationSession.resume(volume, fingerprint(volume)) as session:
        if output.suffix.lower() == SEGMENTATION_SUFFIX:
            save_segmentation(session, image, output)
        else:
            session.save_labels(output)
        return _objects(session)


def _fingerprint(image: Path, choice: int | None) -> str:
    from napari_medfm.volume import fingerprint

    return fingerprint(open_image(image, choice))


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
    from napari_medfm.inference import MemoryStore, Predictor, TieredStore, WriteBehind, open_disk_store, open_lane
    from napari_medfm.session import AnnotationSession, LiveSegmentation
    from napari_medfm.volume import fingerprint

    memory = MemoryStore(load_settings().memory_bytes)
    with tempfile.TemporaryDirectory() as folder, WriteBehind(open_disk_store()) as disk, open_lane() as lane:
        store = TieredStore([memory, disk])
        where = None if keep else Path(folder)
        with AnnotationSession.create(volume, fingerprint(volume), folder=where, classes=classes) as session:
            live = LiveSegmentation(session, Predictor(model, store), lane, window=window)
            try:
                yield session, live
            finally:
                live.close()


def _classes_of(wanted: "Sequence[Wanted]") -> "tuple[ObjectClass, ...]":
    from napari_medfm.session import ObjectClass

    return tuple(ObjectClass(name) for name in dict.fromkeys(thing.class_name for thing in wanted) if name)


def _prompt(session: "AnnotationSession", live: "LiveSegmentation", wanted: "Sequence[Wanted]") -> None:
    """Give the model every prompt of every object."""
    from napari_medfm.evaluation import ask

    for thing in wanted:
        number = session.add_object(thing.class_name, thing.name)
        for prompt in track(thing.prompts, session.state.object(number).name, len(thing.prompts)):
            ask(live, prompt)


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
