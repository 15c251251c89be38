"""Figures of a report: Dice against clicks, and single objects as the model and the expert see them."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from napari_medfm.evaluation.summaries import ALL_DATASETS, dice_curve
from napari_medfm.evaluation.trials import Trial
from napari_medfm.prompts import Box, Point, Prompt, Scribble

Mask = NDArray[np.bool_]

# Okabe and Ito's colours, which people with any colour vision can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_EXPERT, _MODEL, _ADD, _REMOVE = "#00E5B0", "#FF9E1B", "#FFFFFF", "#FF3B6B"
_PANEL = (3.1, 2.5)  # inches
_COLUMNS = 3
_DOTS = 100  # per inch of a small picture
_MARGIN = 0.6  # around what a picture shows, in its longer side
_SMALLEST_VIEW = 48  # pixels


def draw_curves(trials: Sequence[Trial], models: Sequence[str], seed: int = 0) -> str:
    """Return SVG of Dice against clicks under one protocol: over all data sets, then of each.

    Parameters
    ----------
    trials : sequence of Trial
        Under that protocol.
    models : sequence of str
        In the order of their colours.
    seed : int
        Of the bootstrap: bands are its 95 % intervals.
    """
    datasets = list(dict.fromkeys(trial.dataset for trial in trials))
    panels = ([(ALL_DATASETS, list(trials))] if len(datasets) > 1 else []) + [
        (name, [trial for trial in trials if trial.dataset == name]) for name in datasets
    ]
    rows = -(-len(panels) // _COLUMNS)
    columns = min(len(panels), _COLUMNS)
    figure = Figure((_PANEL[0] * columns + 0.6, _PANEL[1] * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, (title, group) in zip(grid, panels, strict=False):
        _draw_panel(axes, title, group, models, seed)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=max(1, len(models)), frameon=False, fontsize=8)
    return _svg(figure)


def draw_training(
    losses: Sequence[float], scores: Sequence[tuple[int, float]], size: tuple[int, int], ink: str
) -> NDArray[np.uint8]:
    """Return a small picture of how a training goes, (rows, columns, 4), to lie on any ground.

    Parameters
    ----------
    losses : sequence of float
        Of each step; at least one.
    scores : sequence of (int, float)
        After so many steps, Dice on a slice that is not learned from.
    size : (int, int)
        Width and height, in pixels.
    ink : str
        Colour of texts, ``#rrggbb``.
    """
    figure = Figure((size[0] / _DOTS, size[1] / _DOTS), dpi=_DOTS, layout="constrained", facecolor="none")
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.plot(range(1, len(losses) + 1), losses, color=_COLOURS[5], linewidth=1)
    axes.set_xlim(1, max(2, len(losses)))
    axes.set_ylim(0, 1.05 * max(losses))
    axes.set_ylabel("loss", color=_COLOURS[5], fontsize=7)
    if scores:
        beside = axes.twinx()
        beside.plot(*zip(*scores, strict=True), color=_COLOURS[4], linewidth=1.5, marker="o", markersize=3)
        beside.set_ylim(0, 1)
        beside.set_ylabel("Dice", color=_COLOURS[4], fontsize=7)
    for each in figure.axes:
        each.tick_params(colors=ink, labelsize=6, length=2)
        each.spines[["top", "bottom", "left", "right"]].set_visible(False)
    axes.set_xticks([])
    stream = io.BytesIO()
    figure.savefig(stream, format="rgba", dpi=_DOTS, facecolor="none")
    return np.frombuffer(stream.getvalue(), np.uint8).reshape(size[1], size[0], 4)


def draw_trial(image: NDArray[np.uint8], truth: Mask, trial: Trial) -> bytes:
    """Return PNG of one object: the expert's outline, the last mask's, and every prompt.

    Parameters
    ----------
    image : ndarray of uint8, (rows, columns[, 3])
        As the model saw it.
    truth : ndarray of bool, (rows, columns)
        The expert's mask.
    trial : Trial
        What to draw.
    """
    answer = trial.answer.to_mask((truth.shape[0], truth.shape[1]))
    figure = Figure((3.2, 3.2), dpi=110)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for mask, colour, width in ((truth, _EXPERT, 2.4), (answer, _MODEL, 1.4)):
        if mask.any():
            # A border of nothing, so that an object at the image's edge is outlined there, too.
            frame = np.pad(mask.astype(float), 1)
            rows, columns = (np.arange(size) - 1 for size in frame.shape)
            axes.contour(columns, rows, frame, [0.5], colors=[colour], linewidths=width)
    for prompt in trial.prompts:
        _draw_prompt(axes, prompt)
    first, last = _view(truth | answer)
    axes.set_xlim(first[1] - 0.5, last[1] + 0.5)
    axes.set_ylim(last[0] + 0.5, first[0] - 0.5)
    axes.set_axis_off()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="black")
    return stream.getvalue()


def _draw_panel(axes: Axes, title: str, trials: Sequence[Trial], models: Sequence[str], seed: int) -> None:
    for place, model in enumerate(models):
        curve = dice_curve([trial for trial in trials if trial.model == model], seed)
        if not curve:
            continue
        colour, clicks = _COLOURS[place % len(_COLOURS)], list(curve)
        axes.plot(
            clicks,
            [estimate.mean for estimate in curve.values()],
            color=colour,
            label=model,
            marker="o",
            markersize=2.5,
            linewidth=1.4,
            linestyle="-" if place < len(_COLOURS) else "--",
        )
        low, high = ([getattr(estimate, end) for estimate in curve.values()] for end in ("low", "high"))
        axes.fill_between(clicks, low, high, color=colour, alpha=0.13, linewidth=0)
    axes.set_title(f"{title} (n = {_count_objects(trials)})", fontsize=8, parse_math=False)
    axes.set_ylim(0, 1)
    axes.set_xlabel("clicks", fontsize=8)
    axes.set_ylabel("Dice", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=7, labelleft=True)
    axes.grid(color="#dddddd", linewidth=0.6)


def _count_objects(trials: Sequence[Trial]) -> int:
    return len({(trial.case, trial.target, trial.slice) for trial in trials})


def _draw_prompt(axes: Axes, prompt: Prompt) -> None:
    colour = _ADD if prompt.positive else _REMOVE
    if isinstance(prompt, Point):
        row, column = prompt.position
        marker = "P" if prompt.positive else "X"
        axes.plot(column, row, marker, color=colour, markersize=7, markeredgecolor="black", markeredgewidth=0.8)
    elif isinstance(prompt, Box):
        (top, left), (bottom, right) = prompt.start, prompt.stop
        rows, columns = (top, top, bottom, bottom, top), (left, right, right, left, left)
        axes.plot(np.subtract(columns, 0.5), np.subtract(rows, 0.5), ":", color=colour, linewidth=1.5)
    elif isinstance(prompt, Scribble):
        rows, columns = zip(*prompt.path, strict=True)
        axes.plot(columns, rows, "-", color=colour, linewidth=2, marker="." if len(prompt.path) == 1 else "")


def _view(shown: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return first and last (row, column) of a square around what is to be seen."""
    cells = np.argwhere(shown)
    first, last = cells.min(axis=0), cells.max(axis=0)
    half = max(_SMALLEST_VIEW, (1 + _MARGIN) * float((last - first).max())) / 2
    middle = (first + last) / 2
    return middle - half, middle + half


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    # The same figure gives the same file; text stays text.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "medfm", "font.family": "sans-serif"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
