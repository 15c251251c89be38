"""What commands take: images, windows and models by what was typed."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from napari_medfm.models import PromptableModel
    from napari_medfm.volume import Volume, Window

Image = Annotated[Path, typer.Argument(help="NIfTI, NRRD or MetaImage file, 2-D PNG, JPEG or TIFF, or a DICOM folder.")]
ImageOrFolder = Annotated[
    Path, typer.Argument(help="An image as in the other commands; a folder of them, or a project.")
]
ModelName = Annotated[str, typer.Option("--model", help="Name of the model; see the command 'models'.")]
Choice = Annotated[int | None, typer.Option(min=0, help="Which volume, where the file or folder holds several.")]
Weights = Annotated[Path | None, typer.Option(help="File of weights, for models that bring none.")]
WindowName = Annotated[str, typer.Option("--window", help="Preset such as abdomen or lung; 'auto' looks at the image.")]


class Axis(StrEnum):
    """Names of the planes, in the order of the axes they lie across."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


def check_model(model: str, weights: Path | None = None, option: str = "--weights") -> None:
    """Tell the licence of other people's weights; weights for a model that takes none are a mistake."""
    from napari_medfm.models import available_models
    from napari_medfm.models.agreements import describe_licence, needs_agreement

    facts = {entry.name: entry.facts for entry in available_models()}.get(model)
    if facts is not None and weights is not None and facts.weights == "none":
        raise typer.BadParameter(f"{model} needs no weights", param_hint=option)
    if facts is not None and needs_agreement(facts):
        typer.echo(describe_licence(facts), err=True)


def load(model: str, weights: Path | None = None, option: str = "--weights") -> "PromptableModel":
    """Load a model, after `check_model`."""
    from napari_medfm.models import load_model

    check_model(model, weights, option)
    return load_model(model) if weights is None else load_model(model, weights=weights)


def open_image(image: Path, choice: int | None) -> "Volume":
    """Open an image, or one of several in a file or folder."""
    from napari_medfm.volume import open_volume

    return open_volume(image, choice=choice)


def choose_window(volume: "Volume", name: str) -> "Window":
    """Return the preset of that name, or what suits the image."""
    from napari_medfm.volume import named_window

    check_window(name)
    return named_window(volume, name)


def check_window(name: str) -> None:
    """Refuse a name that is no window's."""
    from napari_medfm.volume import AUTOMATIC, PRESETS

    if name != AUTOMATIC and name not in PRESETS:
        raise typer.BadParameter(f"{name!r} is not one of {AUTOMATIC}, {', '.join(PRESETS)}", param_hint="--window")
