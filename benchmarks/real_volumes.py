"""Real CT, MR, DICOM and photographs, annotated in the real viewer by mouse events, saved, and compared.

A robot user (RITM protocol: the deepest point of the largest error) clicks on one slice per object, up to ten
times, Shift for what is too much; Enter accepts. Every case is then saved, read back, and compared with the
session voxel by voxel and with the image's affine. Pictures after one and after three clicks go to ``--pictures``.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import driver
import numpy as np
import report

DATA = driver.ROOT.parent / "shared" / "data"
TRAIN = DATA / "train"
TOTALSEG = TRAIN / "totalseg_ct_mr_3d"
ENOUGH = 0.95
MOST_CLICKS = 10
PICTURED = (1, 3)
"""Clicks after which a picture is taken."""


@dataclass(frozen=True, slots=True)
class Target:
    """An object of the expert's mask, and the axis across which it is annotated."""

    name: str
    label: int
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """An image with an expert's mask."""

    name: str
    image: Path
    mask: Path
    targets: tuple[Target, ...]


SCENES = (
    Scene(
        "CT abdomen",
        TOTALSEG / "images/example_ct.nii.gz",
        TOTALSEG / "masks/example_ct.nii.gz",
        (
            Target("liver", 5),
            Target("spleen", 1),
            Target("right kidney", 2),
            Target("left kidney", 3, axis=1),
            Target("aorta", 52),
            Target("vertebra", 29, axis=2),
        ),
    ),
    Scene(
        "CT series, DICOM",
        DATA / "dicom/totalseg_ct/series",
        DATA / "dicom/totalseg_ct/example_seg_dicom.nii.gz",
        (Target("liver", 5), Target("aorta", 52)),
    ),
    Scene(
        "CT aorta",
        TOTALSEG / "images/aorta_ct_cropped.nii.gz",
        TOTALSEG / "masks_binary/aorta_ct_cropped/aorta.nii.gz",
        (Target("aorta", 1, axis=2),),
    ),
    Scene(
        "MR abdomen",
        TOTALSEG / "images/example_mr_sm.nii.gz",
        TOTALSEG / "masks/example_mr_sm.nii.gz",
        (Target("liver", 5), Target("spleen", 1)),
    ),
    Scene(
        "MR head, FLAIR",
        TRAIN / "niivue_brain_mr_3d/images/flair_ms.nii.gz",
        TRAIN / "niivue_brain_mr_3d/masks/flair_ms.nii.gz",
        (Target("lesions", 1), Target("lesions", 1, axis=2)),
    ),
    Scene(
        "MR hippocampus",
        TRAIN / "msd_hippocampus_mr_3d/images/hippocampus_001.nii.gz",
        TRAIN / "msd_hippocampus_mr_3d/masks/hippocampus_001.nii.gz",
        (Target("anterior", 1, axis=1), Target("posterior", 2, axis=1)),
    ),
)
PHOTOGRAPHS = (("optic disc", "idrid_optic_disc_fundus"), ("skin lesion", "isic2017_skin_dermoscopy"))


def photographs() -> list[Scene]:
    """Return the first image of two sets of colour photographs."""
    scenes = []
    for name, folder in PHOTOGRAPHS:
        image = min((TRAIN / folder / "images").iterdir())
        (mask,) = (TRAIN / folder / "masks").glob(f"{image.stem}.*")
        scenes.append(Scene(name, image, mask, (Target(name, 1),)))
    return scenes


def truth_of(scene: Scene, volume) -> np.ndarray:
    """Return the expert's labels on the image's canonical grid."""
    if scene.mask.suffix == ".png":
        from PIL import Image

        return np.asarray(Image.open(scene.mask))
    from napari_medfm.volume import open_labels

    return open_labels(scene.mask, like=volume)


class Robot:
    """Annotates in a viewer, with the mouse.

    Parameters
    ----------
    desk : Desk
        The viewer.
    truth : ndarray
        The expert's labels.
    """

    def __init__(self, desk: driver.Desk, truth: np.ndarray) -> None:
        self._desk, self._truth = desk, truth
        self._case, self._canvas = desk.case, desk.canvas()

    def annotate(self, target: Target, clicked_so: Callable[[Target, object, int], None]) -> tuple[list[float], object]:
        """Click an object until it is right; return Dice after every click, and its plane.

        After each click `clicked_so` is told the target, the plane, and how many clicks there were.
        """
        from canvas import NONE, SHIFT

        from napari_medfm.simulation import dice, next_click
        from napari_medfm.volume import Plane

        session, live = self._case.session, self._case.live
        wanted = self._truth == target.label
        plane = self._largest(wanted, target.axis)
        self._show(plane)
        goal = plane.take(wanted, wanted.ndim)
        number, mask, clicked, scores = session.add_object(name=target.name), np.zeros_like(goal), [], []
        while len(scores) < MOST_CLICKS and (not scores or scores[-1] < ENOUGH):
            point = next_click(mask, goal, clicked=clicked, plane=plane)
            if point is None:
                break
            clicked.append(point.position)
            made = len(session.state.objects[number].prompts)
            self._canvas.click(plane.to_voxel(point.position, wanted.ndim), NONE if point.positive else SHIFT)
            try:
                driver.wait(lambda: len(session.state.objects[number].prompts) > made and not live.busy, 10)  # noqa: B023
            except TimeoutError as error:
                msg = f"{target.name}: click {len(clicked)} at {point.position} came to nothing"
                raise RuntimeError(msg) from error
            mask = session.object_mask(number, plane)
            scores.append(dice(mask, goal))
            clicked_so(target, plane, len(scores))
        assert isinstance(plane, Plane)
        return scores, plane

    def accept(self) -> None:
        """Press Enter."""
        from qtpy.QtCore import Qt

        session = self._case.session
        active = session.state.active
        self._canvas.key(Qt.Key.Key_Return)
        driver.wait(lambda: session.state.objects[active].accepted)

    def _largest(self, wanted: np.ndarray, axis: int):
        from napari_medfm.volume import Plane

        if wanted.ndim == 2:
            return Plane(0, 0)
        areas = wanted.sum(axis=tuple(other for other in range(3) if other != axis))
        return Plane(axis, int(np.argmax(areas)))

    def _show(self, plane) -> None:
        """Press the key that cycles the planes until the right one is shown, then go to the slice."""
        from qtpy.QtCore import Qt

        bridge, viewer = self._case.workspace.bridge, self._desk.viewer
        if self._truth.ndim == 2:
            return
        for _ in range(3):
            if bridge.plane is not None and bridge.plane.axis == plane.axis:
                break
            self._canvas.key(Qt.Key.Key_A)
            driver.settle(100)
        viewer.dims.set_current_step(plane.axis, plane.index)
        driver.wait(lambda: bridge.plane == plane)
        driver.settle(100)


def check_saved(case, path: Path, image: Path) -> tuple[bool, bool | None]:
    """Save a case; return whether the file equals the session's labels, and has the image's affine, if there is one."""
    import nibabel

    from napari_medfm.volume import open_labels

    case.session.save_labels(path)
    read = open_labels(path, like=case.session.volume)
    identical = bool(np.array_equal(read, case.session.labels))
    source = case.session.volume.geometry.source
    if source is None:  # a photograph
        return identical, None
    affine = nibabel.load(image).affine if image.name.endswith(".nii.gz") else source.affine
    return identical, bool(np.allclose(nibabel.load(path).affine, affine, atol=1e-5))


def picture(desk: driver.Desk, folder: Path | None, scene: Scene, target: Target, plane: object, clicks: int) -> None:
    """Save what the viewer shows after the first and the third click."""
    from napari.utils.io import imsave

    if folder is not None and clicks in PICTURED:
        driver.settle(300)
        name = f"{scene.name}-{target.name}-{plane.name}-{clicks}.png".replace(", ", "-").replace(" ", "_")
        imsave(str(folder / name), desk.viewer.screenshot(canvas_only=False, flash=False))


def measure(run: report.Run) -> None:
    """Annotate real images in the real viewer with mouse events."""
    scenes = [SCENES[0], photographs()[0]] if run.quick else [*SCENES, *photographs()]
    pictures = run.options.pictures
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    counts, identical, affines = [], [], []
    with driver.folders_of_its_own(), tempfile.TemporaryDirectory() as out:
        desk = driver.Desk(run.options.model)
        for scene in scenes:
            case = desk.open(scene.image)
            layer = case.workspace.layers.image
            robot = Robot(desk, truth_of(scene, case.session.volume))
            for target in scene.targets[:1] if run.quick else scene.targets:
                scores, plane = robot.annotate(target, partial(picture, desk, pictures, scene))
                counts.append(len(scores))
                name = f"{scene.name}, {target.name}, {plane.name}"
                run.detail(f"{name}: clicks, Dice", f"{len(scores)}, {scores[-1]:.3f} (after one {scores[0]:.3f})")
                robot.accept()
            same, placed = check_saved(case, Path(out) / f"{len(identical)}.nii.gz", scene.image)
            identical.append(same)
            affines += [] if placed is None else [placed]
            desk.viewer.layers.remove(layer)
            driver.settle(300)
        desk.close()
    run.n = len(counts)
    run.bar("objects", len(counts))
    run.bar("most_clicks_on_an_object", max(counts))
    run.bar("share_saved_voxel_identical", float(np.mean(identical)))
    run.bar("share_saved_with_the_affine", float(np.mean(affines)))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=Path, help="folder for a screenshot of every object")
    parser.add_argument("--model", default="", help="registry name; the default model if not given")


if __name__ == "__main__":
    if not TRAIN.is_dir():
        sys.exit(f"{DATA.parent.name}/{DATA.name}: the real images are not beside this repository")
    driver.ensure_display()
    report.main("real_volumes", measure, _options)
