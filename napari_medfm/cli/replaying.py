"""The command ``session replay``."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medfm.cli.loading import (
    Choice,
    Image,
    ModelName,
    Weights,
    WindowName,
    check_model,
    choose_window,
    open_image,
)
from napari_medfm.cli.terminal import Row, track
from napari_medfm.settings import DEFAULT_MODEL

if TYPE_CHECKING:
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
    from napari_medfm.inference import Predictor, open_disk_store
    from napari_medfm.projects.model_choice import ModelChoice
    from napari_medfm.session import AnnotationSession, replay
    from napari_medfm.volume import fingerprint

    check_model(model, weights)
    volume = open_image(image, choice)
    predictor = Predictor(ModelChoice.of(model, weights, adapter).load(), open_disk_store())
    with AnnotationSession.resume(volume, fingerprint(volume)) as session:
        slices = sum(len(thing.prompts.planes) for thing in session.state.objects.values())
        found = list(track(replay(session, predictor, choose_window(volume, window)), "Replaying", slices))
        rows = _rows(session, found)
    return [row for row in rows if row["change"] > threshold]


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
