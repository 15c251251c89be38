"""A picture of how a training went."""

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_medfm.files import atomic_write_bytes
from napari_medfm.pretraining.records import Record

_SMOOTH = 9  # records in the running mean
_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"


def draw_records(records: Sequence[Record], path: Path) -> Path:
    """Write a PNG of loss, IoU and speed against minutes; single records pale, running means strong.

    Raises
    ------
    WriteError
        It cannot be written.
    """
    figure = Figure((10.0, 3.2), dpi=110, layout="constrained")
    loss, overlap, speed = figure.subplots(1, 3)
    _draw(loss, records, {"loss": ("loss", _BLUE)})
    _draw(overlap, records, {"first_iou": ("first prompt", _ORANGE), "last_iou": ("last prompt", _GREEN)})
    _draw(speed, records, {"samples_per_second": ("samples per second", _BLUE)})
    overlap.set_title("IoU on training views", fontsize=9)
    overlap.set_ylim(0, 1)
    overlap.legend(fontsize=8, frameon=False, loc="lower right")
    loss.set_title("loss", fontsize=9)
    speed.set_title("samples per second", fontsize=9)
    speed.set_ylim(bottom=0)
    stream = BytesIO()
    figure.savefig(stream, format="png")
    return atomic_write_bytes(path, stream.getvalue())


def _draw(axes: Axes, records: Sequence[Record], lines: dict[str, tuple[str, str]]) -> None:
    minutes = [record.minutes for record in records]
    for name, (title, colour) in lines.items():
        values = [float(getattr(record, name)) for record in records]
        axes.plot(minutes, values, color=colour, alpha=0.3, linewidth=0.8, marker=".", markersize=3)
        axes.plot(minutes, _running_mean(values), color=colour, label=title, linewidth=1.6)
    for before, after in pairwise(records):
        if before.side != after.side:  # from here on views are larger, and harder
            axes.axvline(before.minutes, color="0.7", linewidth=0.8, linestyle="--")
    axes.set_xlabel("minutes", fontsize=8)
    axes.tick_params(labelsize=7)


def _running_mean(values: Sequence[float]) -> list[float]:
    """Mean of each value and those before it."""
    return [float(np.mean(values[max(0, at - _SMOOTH + 1) : at + 1])) for at in range(len(values))]
