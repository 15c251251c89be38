"""Organs of a real CT in 3-D from a click in each of the three planes, and every tool for editing used once.

All by mouse and keys in the real viewer. A robot user clicks each organ on the middle slice of one plane, G propagates
it, up to two more clicks correct the slices with the worst Dice, *Accept* and Enter accept. Then each tool of the
panel that changes voxels is used on what came of it; undo has to give back every voxel of the labels, of what lies
beneath them and of the hand's marks, and redo what the tool did. Last the keys and buttons that change what is seen.
Pictures of each station go to ``--pictures``.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import driver
import numpy as np
import report
from person import LONGEST, Person

DATA = driver.ROOT.parent / "shared" / "data"
CT = DATA / "train" / "totalseg_ct_mr_3d"
IMAGE, MASK = CT / "images/example_ct.nii.gz", CT / "masks/example_ct.nii.gz"
MOST_CLICKS = 3
ENOUGH = 0.95
VERTEBRA, AORTA = 29, 52


@dataclass(frozen=True, slots=True)
class Organ:
    """An organ of the expert's mask, and the axis across which it is clicked."""

    name: str
    label: int
    axis: int


ORGANS = (Organ("spleen", 1, 0), Organ("right kidney", 2, 1), Organ("liver", 5, 2))


class Voxels(NamedTuple):
    """All that a session holds of each voxel."""

    labels: np.ndarray
    beneath: np.ndarray
    hand: np.ndarray

    def same(self, other: "Voxels") -> bool:
        """Whether every voxel is the same."""
        return all(np.array_equal(one, two) for one, two in zip(self, other, strict=True))


class Walk:
    """Segments, edits and looks, as a person would.

    Parameters
    ----------
    person : Person
        At the viewer.
    truth : ndarray
        The expert's labels on the canonical grid.
    run : report.Run
        Told what came of it.
    """

    def __init__(self, person: Person, truth: np.ndarray, run: report.Run) -> None:
        self._person, self._truth, self._run = person, truth, run
        self._case, self._panel = person.case, person.panel
        self.objects: dict[str, int] = {}
        self.dice: dict[str, float] = {}
        self.used: dict[str, bool] = {}
        self.undone: dict[str, bool] = {}

    def segment(self, organ: Organ) -> None:
        """Click an organ on its middle slice, propagate it, correct the worst slices, and accept it."""
        from napari_medfm.volume import Plane

        person, wanted = self._person, self._truth == organ.label
        held = np.flatnonzero(wanted.any(axis=tuple(axis for axis in range(3) if axis != organ.axis)))
        plane, clicked, scores = Plane(organ.axis, int(held[len(held) // 2])), {}, []
        number, began = self.begin(organ.name), time.perf_counter()
        while len(scores) < MOST_CLICKS and (not scores or scores[-1] < ENOUGH):
            person.show(plane)
            self._point(number, plane, wanted, clicked.setdefault(plane, []))
            if not scores:
                person.picture(f"{organ.name}-{plane.name}-click", self._panel.prompts)
                person.key("G")
                self._come_to_rest(lambda: self._case.propagating.slices > 0)
                person.show(Plane(plane.axis, plane.index + 4))
                person.picture(f"{organ.name}-propagated", self._panel.propagate)
            scores.append(_dice(self._found(number), wanted))
            plane = _worst(self._found(number), wanted, organ.axis)
        seconds = time.perf_counter() - began
        self.prove(f"accept what is proposed of the {organ.name}", lambda: person.press(self._panel.propagate.accept))
        person.key("Return")
        driver.wait(lambda: self._case.session.state.objects[number].accepted, LONGEST)
        self.dice[organ.name] = _dice(self._case.session.labels == number, wanted)
        told = " ".join(f"{score:.3f}" for score in scores)
        self._run.detail(f"{organ.name}, {plane.name}: Dice in 3-D after each click", told)
        self._run.detail(f"{organ.name}: seconds until then", round(seconds, 1))
        self._look_across(organ, wanted)

    def _look_across(self, organ: Organ, wanted: np.ndarray) -> None:
        """Show the organ in the two other planes, through the heart of it."""
        from napari_medfm.volume import Plane

        heart = np.argwhere(wanted).mean(axis=0).round().astype(int)
        for axis in sorted({0, 1, 2} - {organ.axis}):
            plane = Plane(axis, int(heart[axis]))
            self._person.show(plane)
            self._person.picture(f"{organ.name}-accepted-{plane.name}", self._panel.objects)

    def begin(self, name: str) -> int:
        """Begin an object by N, and name it in the table."""
        from napari_medfm._qt.objects_model import Column

        session = self._case.session
        before = set(session.state.objects)
        self._person.key("N")
        driver.wait(lambda: set(session.state.objects) != before, LONGEST)
        (number,) = set(session.state.objects) - before
        self._person.type_into_cell(number, Column.NAME, name)
        driver.wait(lambda: session.state.objects[number].name == name, LONGEST)
        self.objects[name] = number
        return number

    def _point(self, number: int, plane, wanted: np.ndarray, clicked: list) -> None:
        """Click where the object is most wrong on a slice."""
        from napari_medfm.simulation import next_click

        point = next_click(plane.take(self._found(number), 3), plane.take(wanted, 3), clicked=clicked, plane=plane)
        if point is None:
            return
        clicked.append(point.position)
        made = len(self._case.session.state.objects[number].prompts)
        self._person.click(plane, point.position, shift=not point.positive)
        self._come_to_rest(lambda: len(self._case.session.state.objects[number].prompts) != made)

    def _come_to_rest(self, begun: Callable[[], bool]) -> None:
        """Wait until something has begun, and then until nothing goes on any more."""
        driver.wait(begun, LONGEST)
        busy = (self._case.live, self._case.propagating, self._case.editing.hand)
        quiet = 0
        while quiet < 3:
            driver.wait(lambda: not any(each.busy for each in busy), LONGEST)
            driver.settle(60)
            quiet = 0 if any(each.busy for each in busy) else quiet + 1

    def _found(self, number: int) -> np.ndarray:
        whole = tuple(slice(0, size) for size in self._truth.shape)
        return (self._case.session.labels == number) | (self._case.proposals.shown(whole) > 0)

    def edit(self) -> None:
        """Use every tool that changes voxels once, most of them on the liver."""
        from napari_medfm._qt.edit_section import _CHOICES

        self._person.unfold(self._panel.edit)
        self._paint_vertebra()
        self._draw_and_interpolate()
        self._take("liver")
        for choice in _CHOICES:
            self._damage(choice.words)
            self._apply(choice)
        self._take_piece()
        self._paint_inside()
        self._person.unfold(self._panel.edit, unfolded=False)

    def _paint_vertebra(self) -> None:
        """A vertebra by hand: its bright voxels under the range brush, then a ball."""
        person, edit, plane, heart = self._person, self._panel.edit, *self._heart(VERTEBRA)
        self.begin("vertebra")
        person.show(plane)
        person.press(edit.tools["range"])
        person.enter(edit.diameter, 12)
        low = edit.low.value()
        person.click(plane, heart, alt=True)
        driver.wait(lambda: edit.low.value() != low, LONGEST)
        person.enter(edit.diameter, 24)
        across = [(heart[0], heart[1] + step) for step in np.linspace(-8, 8, 9)]
        self.prove("range brush", lambda: person.stroke(plane, across))
        person.picture("edit-range-brush", edit)
        person.press(edit.tools["sphere"])
        self.prove("sphere brush", lambda: person.stroke(plane, [(heart[0] - 4, heart[1]), (heart[0] - 2, heart[1])]))
        person.picture("edit-sphere-brush", edit)

    def _draw_and_interpolate(self) -> None:
        """An object drawn on two slices with napari's brush, and between them by shape."""
        from napari_medfm.volume import Plane

        person, (plane, heart) = self._person, self._heart(VERTEBRA)
        self.begin("drawn")
        person.press(self._panel.prompts.tools["brush"])
        self._case.workspace.layers.objects.brush_size = 6
        for step, aside in ((-8, 24), (0, 30)):
            here = Plane(0, plane.index + step)
            person.show(here)
            path = [(heart[0] + down, heart[1] + aside) for down in np.linspace(0, 6, 4)]
            self.prove(f"brush, slice {step}", lambda here=here, path=path: person.stroke(here, path))
        person.show(Plane(0, plane.index - 4))
        person.press(self._panel.propagate.interpolate)
        self._come_to_rest(lambda: self._case.propagating.slices > 0)
        person.picture("interpolated", self._panel.propagate)
        self.prove("interpolation, accepted", lambda: person.press(self._panel.propagate.accept))

    def _damage(self, words: str) -> None:
        """Give the next tool something to do: a hole, an island."""
        person, (plane, heart) = self._person, self._inside_liver()
        person.show(plane)
        if words.startswith("Fill holes in slices"):
            person.press(self._panel.prompts.tools["eraser"])
            self._case.workspace.layers.objects.brush_size = 3
            path = [(heart[0], heart[1] + step) for step in (-1.0, 0.0, 1.0)]
            self.prove("eraser", lambda: person.stroke(plane, path))
        elif words.startswith("Fill holes"):
            self._ball(9, plane, heart, "sphere brush, erasing", shift=True)
        elif "island" in words or "piece" in words.lower():
            self._ball(8, plane, self._beside(plane), f"an island for: {words}")

    def _ball(self, diameter: float, plane, place, name: str, *, shift: bool = False) -> None:
        self._person.press(self._panel.edit.tools["sphere"])
        self._person.enter(self._panel.edit.diameter, diameter)
        self.prove(name, lambda: self._person.stroke(plane, [place, place], shift=shift))

    def _apply(self, choice) -> None:
        """Choose an operation, look at its preview, and apply it."""
        person, edit, hand = self._person, self._panel.edit, self._case.editing.hand
        person.choose(edit.operations, choice.words)
        if choice.words in ("Grow", "Shrink", "Smooth"):
            person.enter(edit.amount, 4)
        elif choice.unit == "ml":
            person.enter(edit.amount, 1)
        driver.wait(lambda: edit.outcome.text().startswith("On this slice"), LONGEST)
        person.picture(f"edit-{choice.words.lower().replace(' ', '-')}", edit)
        self.prove(choice.words, lambda: person.press(edit.apply))
        driver.wait(lambda: not hand.busy, LONGEST)

    def _take_piece(self) -> None:
        person, plane = self._person, self._inside_liver()[0]
        island = self._beside(plane)
        self._damage("piece")
        person.press(self._panel.edit.tools["piece"])
        person.picture("edit-piece", self._panel.edit)
        self.prove("piece", lambda: person.click(plane, island, shift=True))

    def _paint_inside(self) -> None:
        """A ball at the rim of the liver that stays inside its class."""
        from napari_medfm._qt.objects_model import Column

        person, edit, (plane, heart) = self._person, self._panel.edit, self._inside_liver()
        liver = self.objects["liver"]
        person.type_into_cell(liver, Column.CLASS, "liver")
        driver.wait(lambda: self._case.session.state.objects[liver].class_name == "liver", LONGEST)
        number = self.begin("lesion")
        person.type_into_cell(number, Column.CLASS, "lesion")
        person.choose(self._panel.objects.policy, "Replace unlocked objects")
        person.choose(edit.inside, "liver")
        person.show(plane)
        mask = self._case.session.object_mask(liver, plane)
        rim = (heart[0], float(np.flatnonzero(mask[round(heart[0])])[0]))
        outside = int((self._case.session.labels == liver).sum())
        self._ball(30, plane, rim, "inside a class")
        gone = outside - int((self._case.session.labels == liver).sum())
        self.used["inside a class"] &= gone == int((self._case.session.labels == number).sum())
        person.picture("edit-inside-a-class", edit)
        person.choose(edit.inside, "Anywhere")

    def _take(self, name: str) -> None:
        """Make an object the active one by its row."""
        from napari_medfm._qt.objects_model import Column

        self._person.cell(self.objects[name], Column.NAME)
        driver.wait(lambda: self._case.session.state.active == self.objects[name], LONGEST)

    def _heart(self, label: int):
        """The axial slice on which a structure is largest, and its deepest place there."""
        from scipy.ndimage import distance_transform_edt

        from napari_medfm.volume import Plane

        areas = (self._truth == label).sum(axis=(1, 2))
        index = int(np.argmax(areas))
        depth = distance_transform_edt(self._truth[index] == label)
        row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
        return Plane(0, index), (float(row), float(column))

    def _inside_liver(self):
        """The place that lies deepest in the liver as it is labelled: the axial slice, and where on it."""
        from scipy.ndimage import distance_transform_edt

        from napari_medfm.volume import Plane

        own = self._case.session.labels == self.objects["liver"]
        depth = distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1, 1:-1]
        index, row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
        return Plane(0, int(index)), (float(row), float(column))

    def _beside(self, plane) -> tuple[float, float]:
        """The place on a slice that is farthest from every object, within the body."""
        from scipy.ndimage import distance_transform_edt

        volume = self._case.session.volume
        free = (self._case.session.labels == 0) & (volume.array > -150)
        depth = distance_transform_edt(free)[plane.index]
        row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
        return float(row), float(column)

    def prove(self, name: str, act: Callable[[], object]) -> None:
        """Do something to the voxels; undo has to give all of them back, and redo to do it again."""
        session, before = self._case.session, self._voxels()
        steps = len(session.history.done)
        act()
        self._come_to_rest(lambda: len(session.history.done) > steps)
        after = self._voxels()
        self.used[name] = not after.same(before)
        self._person.key("Z", control=True)
        back = self._voxels()
        self._person.key("Z", control=True, shift=True)
        self.undone[name] = back.same(before) and self._voxels().same(after)

    def _voxels(self) -> Voxels:
        session = self._case.session
        return Voxels(session.labels.copy(), session.beneath.copy(), session.hand.copy())

    def look(self) -> None:
        """Use the keys, the drag and the buttons that change what is seen, not what is labelled."""
        before = self._voxels()
        for name, works in (
            ("preview under the mouse in every plane", self._hover_everywhere),
            ("crosshair", self._cross),
            ("planes in turn", self._cycle),
            ("outlines", self._outline),
            ("fainter and stronger", self._fade),
            ("window by a drag", self._drag_window),
            ("measures copied as CSV", self._copy_table),
            ("3-D view", self._turn_in_3d),
        ):
            self.used[name] = works()
        self.undone["looking changes no voxel"] = self._voxels().same(before)

    def _hover_everywhere(self) -> bool:
        """The model's preview follows the mouse in axial, coronal and sagittal planes."""
        from napari_medfm.volume import Plane

        person, preview = self._person, self._case.workspace.layers.preview.layer
        self.begin("aorta")
        person.press(self._panel.prompts.tools["point"])
        heart, shown = np.argwhere(self._truth == AORTA).mean(axis=0).round(), []
        for axis in range(3):
            plane = Plane(axis, int(heart[axis]))
            person.show(plane)
            place = plane.from_voxel(tuple(heart.tolist()))
            shown.append(self._hover_until_seen(plane, place, preview.data))
            person.picture(f"hover-{plane.name}", self._panel.prompts)
        return all(shown)

    def _hover_until_seen(self, plane, place: tuple[float, float], preview: np.ndarray) -> bool:
        """Move the mouse to and fro: until the slice is embedded there is no preview."""
        for step in range(200):
            self._person.hover(plane, (place[0], place[1] + step % 2))
            driver.settle(100)
            if plane.take(preview).any():
                return True
        return False

    def _cross(self) -> bool:
        from napari_medfm.volume import Plane

        person, (plane, heart) = self._person, self._heart(VERTEBRA)
        person.show(plane)
        person.hover(plane, np.add(heart, 1))
        person.hover(plane, heart)
        driver.wait(lambda: self._points_at(heart), LONGEST)
        person.key("C")
        person.picture("crosshair", self._panel.image)
        assert isinstance(plane, Plane)
        return self._case.workspace.crosshair.voxel == plane.to_voxel(heart)

    def _points_at(self, place: tuple[float, float]) -> bool:
        """Whether the viewer knows that the mouse is there: moves take their way through the window system."""
        pointer = self._case.workspace.pointer()
        return pointer is not None and np.array_equal(np.round(pointer.position), np.round(place))

    def _cycle(self) -> bool:
        """A shows the other planes through the crosshair."""
        person, seen = self._person, []
        place = self._case.workspace.crosshair.voxel
        for _ in range(3):
            person.key("A")
            seen.append(person.plane)
            person.picture(f"crosshair-{person.plane.name}", self._panel.image)
        person.key("C")
        return [(one.axis, one.index) for one in seen] == [(axis, int(place[axis])) for axis in (1, 2, 0)]

    def _outline(self) -> bool:
        layer = self._case.workspace.layers.objects
        self._person.key("I")
        outlined = layer.contour > 0
        self._person.picture("outlines")
        self._person.key("I")
        return outlined and layer.contour == 0

    def _fade(self) -> bool:
        layer, before = self._case.workspace.layers.objects, self._case.workspace.layers.objects.opacity
        self._person.key("Comma")
        self._person.key("Comma")
        fainter = layer.opacity
        self._person.picture("fainter")
        for _ in range(2):
            self._person.key("Period")
        return fainter < before == layer.opacity

    def _drag_window(self) -> bool:
        from canvas import CONTROL

        layer, plane = self._case.workspace.layers.image, self._person.plane
        low, high = layer.contrast_limits
        path = [(50.0, 40.0 + step) for step in range(0, 40, 5)]
        self._person.canvas.drag([plane.to_voxel(place) for place in path], CONTROL)
        driver.settle()
        wider = layer.contrast_limits
        self._person.picture("window-dragged", self._panel.image)
        self._person.canvas.drag([plane.to_voxel(place) for place in path[::-1]], CONTROL)
        return wider[1] - wider[0] > high - low

    def _copy_table(self) -> bool:
        from qtpy.QtGui import QGuiApplication

        clipboard = QGuiApplication.clipboard()
        clipboard.clear()
        self._person.press(self._panel.objects.measure)
        self._person.press(self._panel.objects.copy)
        driver.wait(clipboard.text, LONGEST)
        self._person.picture("measured", self._panel.objects)
        self._person.press(self._panel.objects.measure)
        rows = clipboard.text().strip().splitlines()
        self._run.detail("a row of the table that was copied", rows[1])
        return len(rows) == 1 + len(self._case.session.state.objects)

    def _turn_in_3d(self) -> bool:
        """Press napari's button for 3-D, turn the patient to the front, and back."""
        from canvas import LEFT, MOVE_MS, NONE
        from qtpy.QtCore import QPoint
        from qtpy.QtTest import QTest

        person, viewer = self._person, self._person.desk.viewer
        person.key("Y", control=True)
        driver.wait(lambda: viewer.dims.ndisplay == 3, LONGEST)
        person.picture("3-d-from-the-front", self._panel.objects)
        widget, angles = person.canvas.widget, viewer.scene.camera.angles
        middle = QPoint(widget.width() // 2, widget.height() // 2)
        QTest.mousePress(widget, LEFT, NONE, middle)
        for step in range(1, 9):
            QTest.qWait(MOVE_MS)
            QTest.mouseMove(widget, middle + QPoint(6 * step, 12 * step))
        QTest.mouseRelease(widget, LEFT, NONE, middle + QPoint(48, 96))
        driver.settle(300)
        person.picture("3-d-turned", self._panel.objects)
        turned = viewer.scene.camera.angles != angles
        person.key("Y", control=True)
        driver.wait(lambda: viewer.dims.ndisplay == 2, LONGEST)
        return bool(turned)


def _dice(found: np.ndarray, wanted: np.ndarray) -> float:
    from napari_medfm.simulation import dice

    return float(dice(found, wanted))


def _worst(found: np.ndarray, wanted: np.ndarray, axis: int):
    """Return the slice with the worst Dice; of equals the one with the most wrong voxels."""
    from napari_medfm.volume import Plane

    others = tuple(other for other in range(3) if other != axis)
    both, either = (found & wanted).sum(axis=others), found.sum(axis=others) + wanted.sum(axis=others)
    score = np.where(either > 0, 2 * both / np.maximum(either, 1), 1.0)
    order = np.lexsort((-(found ^ wanted).sum(axis=others), score))
    return Plane(axis, int(order[0]))


def measure(run: report.Run) -> None:
    """Segment organs of a real CT in 3-D in the real viewer, and use every tool for editing."""
    from napari_medfm.volume import open_labels

    pictures = run.options.pictures
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    with driver.folders_of_its_own():
        desk = driver.Desk()
        case = desk.open(IMAGE, timeout=LONGEST)
        person = Person(desk, pictures)
        walk = Walk(person, open_labels(MASK, like=case.session.volume), run)
        for organ in ORGANS[:1] if run.quick else ORGANS:
            walk.segment(organ)
        if not run.quick:
            walk.edit()
            walk.look()
        desk.close()
    run.n = len(walk.used)
    for name, done in walk.used.items():
        run.detail(name, "done" if done else "NOTHING CAME OF IT")
    run.bar("planes_segmented_in", len(walk.dice))
    run.bar("lowest_dice", min(walk.dice.values()))
    run.bar("share_of_tools_that_work", float(np.mean(list(walk.used.values()))))
    run.bar("share_undone_voxel_exactly", float(np.mean(list(walk.undone.values()))))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every station")


if __name__ == "__main__":
    if not IMAGE.is_file():
        sys.exit(f"{DATA.parent.name}/{DATA.name}: the real images are not beside this repository")
    driver.ensure_display()
    report.main("volumes_walk", measure, _options)
