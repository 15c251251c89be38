"""The command ``session replay``."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medfm.cli.caching import disk_store
from napari_medfm.cli.loading import Choice, Image, ModelName, Weights, WindowName, choose_window, load, open_image
from napari_medfm.cli.terminal import Row, track
from napari_medfm.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from napari_medfm.models import PromptableModel
    from napari_medfm.session import AnnotationSession, Replayed


def replay(
    image: Image,
    model: ModelName = DEFAULT_MODEL,
    weights: Weights = None,
    adapter: Annotated[Path | None, typer.Option(help="Adapter file that the model is given.")] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="List objects of which more than this share changes: 1 - Dice.")
    ] = 0.1,
    window: WindowName = "auto",
    choice: Choice = None,
) -> list[Row]:
    """Give all prompts of an image's session to another model, and list the objects whose mask changes.

    Nothing is changed. The objects that change most come first; what was painted or erased by hand stays as it is.
    """
    from napari_medfm.inference import Predictor
    from napari_medfm.session import AnnotationSession, replay
    from napari_medfm.volume import fingerprint

    volume = open_image(image, choice)
    predictor = Predictor(_adapted(load(model, weights), adapter), disk_store())
    with AnnotationSession.resume(volume, fingerprint(volume)) as session:
        slices = sum(len(thing.prompts.planes) for thing in session.state.objects.values())
        found = list(track(replay(session, predictor, choose_window(volume, window)), "Replaying", slices))
        rows = _rows(session, found)
    return [row for row in rows if row["change"] > threshold]


def _adapted(model: "PromptableModel", file: Path | None) -> "PromptableModel":
    if file is None:
        return model
    from napari_medfm.adaptation import AdaptedModel, adaptable, read_adapter

    return AdaptedModel(adaptable(model), read_adapter(file))


def _rows(session: "AnnotationSession", found: "list[Replayed]") -> list[Row]:
    by_object = defaultdict(list)
    for each in found:
        by_object[each.object_id].append(each)
    rows = []
    for number, slices in by_object.items():
        before, after, common = (sum(getattr(each, name) for each in slices) for name in ("before", "after", "common"))
        thing = session.state.object(number)
        row = {"id": number, "name": thing.name, "class": thing.class_name, "slices": len(slices)}
        change = 1 - 2 * common / (before + after) if before + after else 0.0
        rows.append({**row, "voxels_before": before, "voxels_after": after, "change": change})
    return sorted(rows, key=lambda row: -row["change"])
