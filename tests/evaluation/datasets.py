"""Small pictures with masks, manifests and trials, to order."""

import csv

import numpy as np
from PIL import Image

from napari_medfm.evaluation import Trial
from napari_medfm.prompts import MaskPrompt, Point, PromptSet
from napari_medfm.volume import Plane

COLUMNS = ("dataset", "image", "mask", "modality", "targets")


def disc(shape, centre, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def write_manifest(path, rows, columns=COLUMNS):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


def photograph(folder, name, discs, values):
    """Write a grey picture of bright discs and its mask; return the manifest's two paths."""
    rng = np.random.default_rng(len(name))
    mask = np.zeros((48, 64), np.uint8)
    for (centre, radius), value in zip(discs, values, strict=True):
        mask[disc(mask.shape, centre, radius)] = value
    image = np.clip(np.where(mask > 0, 190, 60) + rng.normal(0, 6, mask.shape), 0, 255).astype(np.uint8)
    Image.fromarray(image).save(folder / f"{name}.png")
    Image.fromarray(mask).save(folder / f"{name}_mask.png")
    return f"{name}.png", f"{name}_mask.png"


def make_trial(dice=(0.5, 0.9), *, dataset="a", model="m", protocol="ritm", case=1, clicks=5, **values):
    """Return a trial of which only some facts matter."""
    plane = Plane()
    mask = np.ones((4, 4), bool)
    prompts = PromptSet(tuple(Point(plane, (float(step), 0.0)) for step in range(len(dice))))
    known = {
        "image": "image.png",
        "mask": "mask.png",
        "modality": "CT",
        "target": 1,
        "slice": 0,
        "pixels": 16,
        "form": "plain",
        "nsd": 0.5,
        "hd95": 3.0,
        "unit": "mm",
        "encode_seconds": 0.1,
        "seconds": (0.01,) * len(dice),
        "prompts": prompts,
        "answer": MaskPrompt.from_mask(plane, mask),
    }
    facts = {"case": case, "dataset": dataset, "model": model, "protocol": protocol, "clicks": clicks}
    return Trial(**{**known, **facts, "dice": tuple(dice), **values})
