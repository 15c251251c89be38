"""The commands ``models``: what can be loaded, what is known of it, and its weights."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medfm.cli.terminal import DAMAGED, Flawed, Row, bar
from napari_medfm.errors import WeightsError
from napari_medfm.settings import load_settings

if TYPE_CHECKING:
    from napari_medfm.models import ModelEntry, WeightsFile

models_app = typer.Typer(invoke_without_command=True, help="The models: what can be loaded, and their weights.")

Name = Annotated[str, typer.Argument(help="Of the model; see 'models list'.")]


@models_app.callback()
def _all(context: typer.Context) -> list[Row] | None:
    return list_models() if context.invoked_subcommand is None else None


@models_app.command("list")
def list_models() -> list[Row]:
    """List the models, where their weights come from, and their licences."""
    from napari_medfm.models import available_models

    return [_row(entry) for entry in available_models()]


@models_app.command("others")
def others() -> list[Row]:
    """List models that are known and not offered, with the reason and what to do about it."""
    from napari_medfm.models.others import OTHERS

    return [asdict(one) for one in OTHERS]


@models_app.command("info")
def info(name: Name) -> Row:
    """Tell everything that is known of a model before it is loaded."""
    entry = _entry(name)
    file = {} if entry.facts.file is None else {f"file_{key}": value for key, value in asdict(entry.facts.file).items()}
    return {"name": entry.name, **{key: value for key, value in asdict(entry.facts).items() if key != "file"}, **file}


@models_app.command("download")
def download(
    name: Name, yes: Annotated[bool, typer.Option("--yes", help="Agree to a licence without commercial use.")] = False
) -> Row:
    """Download the weights of a model, or go on with a download, and check them.

    From MEDFM_MIRROR if that is set; not at all with MEDFM_OFFLINE.
    """
    from napari_medfm.models.agreements import describe_licence
    from napari_medfm.models.downloads import fetch_weights

    entry = _entry(name)
    file = _file(entry)
    facts = entry.facts
    typer.echo(describe_licence(facts), err=True)
    if not facts.commercial_use and not yes:
        typer.confirm("Its licence allows no commercial use. Go on?", abort=True, err=True)
    settings = load_settings()
    with bar(file.name) as move:
        path = fetch_weights(file, settings.weights_dir, mirror=settings.mirror, offline=settings.offline, report=move)
    return {"model": name, "file": file.name, "bytes": path.stat().st_size, "digest": file.digest}


@models_app.command("verify")
def verify(name: Annotated[str | None, typer.Argument(help="Of the model; by default all.")] = None) -> list[Row]:
    """Read downloaded weights again and compare them with their digests; leaves with 5 if one is damaged."""
    from napari_medfm.models import available_models
    from napari_medfm.models.downloads import verify_weights

    folder = load_settings().weights_dir
    entries = available_models() if name is None else (_entry(name),)
    files = {entry.name: entry.facts.file for entry in entries if entry.facts.file is not None}
    rows: list[Row] = []
    for model, file in files.items():
        if not (folder / file.name).exists() and name is None:
            continue
        try:
            verify_weights(file, folder)
        except WeightsError as error:
            rows.append({"model": model, "file": file.name, "intact": False, "reason": str(error)})
        else:
            rows.append({"model": model, "file": file.name, "intact": True, "reason": ""})
    if not all(row["intact"] for row in rows):
        raise Flawed(rows, DAMAGED)
    return rows


@models_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="For the new model: lower-case letters, digits, '_', '.' and '-'.")],
    weights: Annotated[Path, typer.Option(help="Its file, which stays where it is.")],
    like: Annotated[str, typer.Option(help="The model whose architecture and preprocessing it has, such as medsam.")],
    title: Annotated[str, typer.Option(help="Shown to people; by default the name.")] = "",
) -> Row:
    """Add a checkpoint of one's own, such as a fine-tuned MedSAM; its digest is remembered."""
    from napari_medfm.models import add_model

    return _row(add_model(name, like, weights, title))


def _row(entry: "ModelEntry") -> Row:
    facts = entry.facts
    there = facts.file is not None and facts.file.find(load_settings().weights_dir) is not None
    return {
        "name": entry.name,
        "title": facts.title,
        "tier": facts.tier,
        "origin": facts.origin,
        "licence": facts.licence,
        "commercial_use": facts.commercial_use,
        "weights": "downloaded" if there else facts.weights,
    }


def _entry(name: str) -> "ModelEntry":
    from napari_medfm.models.catalogue import DEFAULT_REGISTRY

    return DEFAULT_REGISTRY.entry(name)


def _file(entry: "ModelEntry") -> "WeightsFile":
    if entry.facts.file is None:
        step = "It needs none." if entry.facts.weights != "file" else "Bring its file: --weights, or the panel."
        raise WeightsError(entry.name, "has no weights that can be downloaded", step)
    return entry.facts.file
