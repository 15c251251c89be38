"""A structure of a real CT taught to the model in the real viewer, by mouse and keys, from three slices on.

A robot user clicks the structure on three slices and marks each complete (D); Adapt is pressed, the read-out waited
for; the other slices are filled; a key (J) jumps to the slice the model is least sure of, where the robot corrects the
proposal and accepts the slice; the model is adapted again, and rolled back to the first version. Dice of everything
that is proposed or accepted, against the expert, tells what came of it. Pictures of each station go to ``--pictures``.
"""

import argparse
import sys
import time
from pathlib import Path

import driver
import numpy as np
import report

DATA = driver.ROOT.parent / "shared" / "data"
CT = DATA / "train" / "totalseg_ct_mr_3d"
IMAGE, MASK = CT / "images/example_ct.nii.gz", CT / "masks/example_ct.nii.gz"
STRUCTURES = {"liver": 5, "spleen": 1}
ENOUGH = 0.95
MOST_CLICKS = 10
LONGEST = 240.0
"""Seconds that anything may take before the walk is given up; a busy machine takes its time."""


class Walk:
    """One structure, from the first click to the last version.

    Parameters
    ----------
    desk : Desk
        The viewer, with the image open.
    truth : ndarray of bool
        The expert's mask.
    name : str
        Of the structure.
    pictures : Path or None
        Gets a picture of each station.
    """

    def __init__(self, desk: driver.Desk, truth: np.ndarray, name: str, pictures: Path | None) -> None:
        self._desk, self._truth, self._name, self._pictures = desk, truth, name, pictures
        self._case, self._canvas, self._panel = desk.case, desk.canvas(), desk.widget.panel
        self._teaching = self._case.teaching
        self._stations = 0
        self.clicks = 0

    def begin(self) -> None:
        """Begin an object of the structure."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        field = self._panel.adapt.structure
        field.setFocus()
        field.setEditText(self._name)
        QTest.keyClick(field.lineEdit(), Qt.Key.Key_Return)
        self._case.session.add_object(self._name)

    def label(self, index: int) -> None:
        """Click the structure on a slice until it is right, or for as long as a person would, and mark it complete."""
        from canvas import NONE, SHIFT

        from napari_medfm.simulation import dice, next_click
        from napari_medfm.volume import Plane

        self.show(index)
        plane, goal, clicked = Plane(0, index), self._truth[index], []
        while len(clicked) < MOST_CLICKS:
            mask = self._mask(index)
            if dice(mask, goal) >= ENOUGH:
                break
            point = next_click(mask, goal, clicked=clicked, plane=plane)
            if point is None:
                break
            clicked.append(point.position)
            before = self._prompts()
            self._canvas.click(plane.to_voxel(point.position), NONE if point.positive else SHIFT)
            driver.wait(lambda: self._prompts() > before and not self._case.live.busy, LONGEST)  # noqa: B023
        self.clicks += len(clicked)
        self.press_key("D")
        driver.wait(lambda: (self._name, plane) in self._case.session.state.extent, LONGEST)

    def show(self, index: int) -> None:
        """Go to a slice."""
        self._desk.viewer.dims.set_current_step(0, index)
        driver.wait(lambda: self._case.workspace.bridge.plane.index == index, LONGEST)
        driver.settle(150)

    def press_key(self, key: str) -> None:
        """Press a key over the canvas."""
        from qtpy.QtCore import Qt

        self._canvas.key(getattr(Qt.Key, f"Key_{key}"))

    def press(self, button) -> None:
        """Press a button of the panel with the mouse."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        driver.wait(button.isEnabled, LONGEST)
        self._scroll_to(button)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def adapt(self) -> object:
        """Press Adapt, wait for the read-out, and return the facts of the adapter."""
        adapting = self._teaching.adapting
        count = len(adapting.versions)
        began = time.perf_counter()
        self.press(self._panel.adapt.adapt)
        driver.wait(lambda: self._panel.adapt.bar.value() > 20 and self._panel.adapt.bar.isVisible(), LONGEST)
        self.picture("training")
        driver.wait(lambda: len(adapting.versions) > count and not adapting.busy, LONGEST)
        self.seconds = time.perf_counter() - began
        driver.wait(lambda: self._in_use() == adapting.versions[0].digest, LONGEST)
        return adapting.in_use.listed.facts

    def fill(self) -> None:
        """Press Fill, and wait until every slice is filled and ranked."""
        self._teaching.filling.forget()
        self.press(self._panel.proposals.fill)
        driver.wait(lambda: not self._teaching.filling.busy and bool(self._teaching.filling.suggestions), LONGEST)

    def look_next(self) -> int:
        """Press the key that jumps to the slice the model is least sure of, and return its index."""
        self.press_key("J")
        wanted = self._teaching.filling.suggestions[0].plane
        driver.wait(lambda: self._case.workspace.bridge.plane == wanted, LONGEST)
        return int(wanted.index)

    def correct(self, most: int) -> int:
        """Correct the slices the model is least sure of, until one held the structure; return how many it were."""
        looked: list[int] = []
        while len(looked) < most:
            index = int(self._case.workspace.bridge.plane.index)
            self.label(index)
            looked.append(index)
            if self._truth[index].any():
                break
            driver.wait(lambda: self._is_ranked_without(looked), LONGEST)
            self.look_next()
        return len(looked)

    def _is_ranked_without(self, looked: list[int]) -> bool:
        return set(looked).isdisjoint(int(each.plane.index) for each in self._teaching.filling.suggestions)

    def accept_sure(self) -> str:
        """Accept the surer half of what is proposed; return how many slices it was, of how many."""
        slices = self._teaching.proposals.slices(self._name).values()
        sure = sorted(each.confidence for pending in slices for each in pending.proposals)
        self._panel.proposals.sure.setValue(round(sure[len(sure) // 2] - 0.005, 2))
        self.press(self._panel.proposals.accept_above)
        driver.settle(300)
        left = sum(len(each.proposals) for each in self._teaching.proposals.slices(self._name).values())
        return f"{len(sure) - left} of {len(sure)}"

    def roll_back(self) -> int:
        """Use the first version again; return which one is in use then."""
        adapting = self._teaching.adapting
        self._panel.adapt.versions.setCurrentIndex(self._panel.adapt.versions.count() - 1)
        first = self._panel.adapt.versions.currentData()
        self.press(self._panel.adapt.use)
        driver.wait(lambda: self._in_use() == first.digest, LONGEST)
        return int(adapting.in_use.listed.version)

    def doubt(self) -> None:
        """Show or hide where the model is in doubt."""
        self.press(self._panel.proposals.doubt)
        driver.settle(1500)

    def score(self) -> float:
        """Return Dice of all that is proposed or accepted, over the volume."""
        from napari_medfm.simulation import dice

        session, whole = self._case.session, tuple(slice(0, size) for size in self._truth.shape)
        found = np.isin(session.labels, sorted(session.state.members(self._name)))
        return dice(found | (self._teaching.proposals.shown(whole) > 0), self._truth)

    def picture(self, what: str) -> None:
        """Save what the viewer shows."""
        from napari.utils.io import imsave

        if self._pictures is not None:
            self._scroll_to(self._panel.proposals)
            self._scroll_to(self._panel.adapt)
            driver.settle(400)
            self._stations += 1
            name = f"{self._name}-{self._stations:02d}-{what}.png"
            imsave(str(self._pictures / name), self._desk.viewer.screenshot(canvas_only=False, flash=False))

    def _scroll_to(self, widget) -> None:
        from qtpy.QtWidgets import QScrollArea

        self._panel.findChild(QScrollArea).ensureWidgetVisible(widget, 0, 10)

    def _in_use(self) -> str:
        known = self._teaching.adapting.in_use
        return known.listed.digest if known is not None else ""

    def _prompts(self) -> int:
        return sum(len(thing.prompts) for thing in self._case.session.state.objects.values())

    def _mask(self, index: int) -> np.ndarray:
        """The structure as it is labelled on a slice; what is proposed there, if nothing is."""
        session = self._case.session
        mask = np.isin(session.labels[index], sorted(session.state.members(self._name)))
        region = (slice(index, index + 1), *(slice(0, size) for size in mask.shape))
        return mask if mask.any() else self._teaching.proposals.shown(region)[0] > 0


def walk(run: report.Run, desk: driver.Desk, truth: np.ndarray, name: str) -> bool:
    """Take all stations; return whether every one was reached."""
    walker = Walk(desk, truth, name, run.options.pictures)
    walker.begin()
    held = np.flatnonzero(truth.any(axis=(1, 2)))
    for place in (0.25, 0.5, 0.75):
        walker.label(int(held[int(place * (len(held) - 1))]))
    walker.picture("labelled")
    run.detail(f"{name}: clicks on three slices", walker.clicks)
    facts = walker.adapt()
    walker.picture("read-out")
    first = facts.readout
    run.detail(f"{name}: seconds to adapt in the viewer", round(walker.seconds, 1))
    run.detail(f"{name}: Dice without prompts, before and after", f"{first.dice_before:.3f}, {first.dice_after:.3f}")
    run.detail(f"{name}: clicks to 0.85, before and after", f"{first.clicks_before:g}, {first.clicks_after:g}")
    walker.fill()
    walker.show(int(held[len(held) // 3]))
    walker.picture("filled")
    run.detail(f"{name}: Dice of the volume when filled", round(walker.score(), 3))
    walker.look_next()
    walker.picture("least-sure")
    walker.doubt()
    walker.picture("doubt")
    walker.doubt()
    before, looked = walker.clicks, walker.correct(6)
    walker.picture("corrected")
    run.detail(f"{name}: clicks on the {looked} slices it was least sure of", walker.clicks - before)
    second = walker.adapt()
    walker.picture("adapted-again")
    walker.fill()
    run.detail(f"{name}: Dice of the volume after the correction", round(walker.score(), 3))
    accepted = walker.accept_sure()
    run.detail(f"{name}: slices accepted at once, of those proposed", accepted)
    walker.picture("accepted")
    back = walker.roll_back()
    walker.picture("rolled-back")
    return len(second.support) == 3 + looked and back == 1


def measure(run: report.Run) -> None:
    """Teach structures of a real CT in the real viewer."""
    from napari_medfm.volume import open_labels

    if run.options.pictures:
        run.options.pictures.mkdir(parents=True, exist_ok=True)
    structures = dict(list(STRUCTURES.items())[:1]) if run.quick else STRUCTURES
    reached = []
    with driver.folders_of_its_own():
        desk = driver.Desk()
        case = desk.open(IMAGE, timeout=LONGEST)
        labels = open_labels(MASK, like=case.session.volume)
        for name, value in structures.items():
            reached.append(walk(run, desk, labels == value, name))
        desk.close()
    run.n = len(reached)
    run.bar("share_of_walks_to_the_end", float(np.mean(reached)))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every station")


if __name__ == "__main__":
    if not IMAGE.is_file():
        sys.exit(f"{DATA.parent.name}/{DATA.name}: the real images are not beside this repository")
    driver.ensure_display()
    report.main("teaching", measure, _options)
