"""The card of a data set: what is in it, how it was made, and how a trainer is given it."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from napari_medfm import __version__
from napari_medfm.export.counting import Counts
from napari_medfm.export.exporter import DatasetPlan, Exporter
from napari_medfm.files import atomic_write_bytes

CARD = "README.md"
"""Name of the file."""

_AXES = ("columns (x)", "rows (y)", "slices (z)")


def write_card(folder: Path, exporter: Exporter, plan: DatasetPlan, counts: Sequence[Counts]) -> Path:
    """Write the card of a data set.

    Parameters
    ----------
    folder : Path
        Of the data set.
    exporter : Exporter
        Its form.
    plan : DatasetPlan
        What was decided.
    counts : sequence of Counts
        Of all cases.

    Raises
    ------
    WriteError
        It was not written.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    environment.filters["plain"] = plain_text
    template = environment.from_string(Path(__file__).with_name("card.md").read_text(encoding="utf-8"))
    text = template.render(
        plan=plan,
        title=exporter.title,
        usage=exporter.usage,
        software=f"napari-medfm {__version__}",
        parts=_parts(counts),
        classes=[_class_row(plan, kind.name, counts) for kind in plan.classes],
        ignored=statistics.fmean(each.ignored for each in counts),
        has_value=exporter.name != "coco",
        open_objects=sum(each.open_objects for each in counts),
        grid=_grid(counts),
        unplaced=sum(not each.known for each in counts),
        **_makers(counts),
    )
    return atomic_write_bytes(folder / CARD, re.sub(r"\n{3,}", "\n\n", text).encode())


def plain_text(value: object) -> str:
    """Return text without line breaks and without the characters that Markdown gives a meaning to."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(str(value or "").split()))


def _parts(counts: Sequence[Counts]) -> dict[str, list[Counts]]:
    parts = {name: [each for each in counts if each.part == name] for name in ("training", "validation", "test")}
    return {name: cases for name, cases in parts.items() if cases}


def _class_row(plan: DatasetPlan, name: str, counts: Sequence[Counts]) -> dict[str, Any]:
    tallies = [each.classes[name] for each in counts]
    held = [tally.ml for tally in tallies if tally.voxels]
    return {
        "name": name,
        "parent": next(kind.parent for kind in plan.classes if kind.name == name) or "",
        "value": plan.values[name],
        "cases": len(held),
        "objects": sum(tally.objects for tally in tallies),
        "voxels": sum(tally.voxels for tally in tallies),
        "ml": f"{sum(held):.1f}",
        "mean": f"{statistics.fmean(held):.1f}" if held else "",
        "slices": sum(tally.slices for tally in tallies),
    }


def _grid(counts: Sequence[Counts]) -> dict[str, dict[str, str]]:
    """Return for each axis the range of voxels and of millimetres, with the median."""
    grid = {}
    for axis, name in enumerate(_AXES):
        own = [each for each in counts if len(each.shape) > axis]
        if own:
            shape, spacing = [each.shape[axis] for each in own], [each.spacing[axis] for each in own]
            grid[name] = {"shape": _range(shape, "{:.0f}"), "spacing": _range(spacing, "{:.3g}")}
    return grid


def _range(values: Sequence[float], form: str) -> str:
    low, middle, high = (form.format(value) for value in (min(values), statistics.median(values), max(values)))
    return low if low == high else f"{low} to {high}, median {middle}"


def _makers(counts: Sequence[Counts]) -> dict[str, Any]:
    told = [each.provenance for each in counts]
    models = {(model["name"], model["sha256"]) for each in told for model in each.get("models", ())}
    return {
        "annotators": sorted({name for each in told for name in each.get("annotators", ())}),
        "models": sorted(models),
        "adapters": sorted({digest for each in told for digest in each.get("adapters", ())}),
        "first": min((each["first"] for each in told if each.get("first")), default=""),
        "last": max((each["last"] for each in told if each.get("last")), default=""),
    }
