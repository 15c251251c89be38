"""A structure of a real CT taught to the model in the real viewer, by mouse and keys, from three slices on.

A robot user clicks the structure on three slices and marks each complete (D), and one slice that holds none of it;
Adapt is pressed, the read-out waited for; some slices are filled, then all; a key (J) jumps to the slice the model is
least sure of, and on to the next, where the robot corrects the proposal and accepts the slice (D), until one held the
structure; there the switch compares base and adapted model on the same clicks. The model is adapted again and fills
anew; the surer half of what is proposed is accepted at once, then an object under the pointer (O); and it is rolled
back to the first version. Dice of everything that is proposed or accepted, against the reference, tells what came of
it. Pictures of each station go to ``--pictures``.
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
STRUCTURES = {"liver": 5, "spleen": 1, "left kidney": 3}
ENOUGH = 0.95
MOST_CLICKS = 10
LONGEST = 900.0
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
        field.activateWindow()
        field.setFocus()
        driver.wait(field.hasFocus, LONGEST)
        field.setEditText(self._name)
        QTest.keyClick(field.lineEdit(), Qt.Key.Key_Return)
        self._case.session.add_object(self._name)

    def farthest_without(self, held: np.ndarray) -> int:
        """Return the slice without the structure that is farthest from those that hold it."""
        empty = np.setdiff1d(np.arange(len(self._truth)), held)
        return int(empty[np.argmax(np.abs(empty[:, None] - held).min(axis=1))])

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
        newest = adapting.versions[0]
        driver.wait(lambda: newest.digest == self._in_use() or adapting.set_aside is not None, LONGEST)
        return newest.facts

    def fill(self, first: int | None = None, last: int | None = None) -> None:
        """Press Fill for some slices, counted from 0, or all, and wait until they are filled and ranked."""
        section = self._panel.proposals
        section.first.setValue(1 if first is None else first + 1)
        section.last.setValue(len(self._truth) if last is None else last + 1)
        filling = self._teaching.filling
        self.press(section.fill)
        driver.wait(lambda: filling.busy, LONGEST)
        driver.wait(lambda: not filling.busy and bool(filling.suggestions), LONGEST)

    def look_next(self) -> int:
        """Press the key that jumps to the slice the model is least sure of, and return its index."""
        self.press_key("J")
        wanted = self._teaching.filling.suggestions[0].plane
        driver.wait(lambda: self._case.workspace.bridge.plane == wanted, LONGEST)
        return int(wanted.index)

    def correct(self, empty: int) -> tuple[int, int]:
        """Go from one slice to the next that the model is less sure of, until one holds the structure, and correct it.

        On the way so many slices without it are marked as such; others are passed by.

        Returns
        -------
        (int, int)
            How many slices were looked at, and how many marked.
        """
        looked, marked = 0, 0
        while True:
            index, looked = int(self._case.workspace.bridge.plane.index), looked + 1
            holds = bool(self._truth[index].any())
            if holds or marked < empty:
                self.label(index)
                marked += 1
                driver.wait(lambda: self._is_ranked_without(index), LONGEST)  # noqa: B023
            if holds:
                return looked, marked
            self.press_key("J")
            driver.wait(lambda: self._case.workspace.bridge.plane.index != index, LONGEST)  # noqa: B023

    def compare(self) -> str:
        """Let the base model answer the clicks on this slice, then the adapted one; return the Dice of both."""
        from napari_medfm.simulation import dice

        section, on = self._panel.adapt, self._teaching.adapting.in_use.on
        index, scores = int(self._case.workspace.bridge.plane.index), {}
        for button in (section.base, section.adapted):
            self.press(button)
            driver.wait(lambda: button.isChecked() and not self._case.live.busy, LONGEST)  # noqa: B023
            driver.settle(300)
            scores[button.text()] = f"{dice(self._labelled(index), self._truth[index]):.3f}"
            self.picture(f"switched to {button.text().lower()}".replace(" ", "-"))
        self.press(section.adapted if on else section.base)
        driver.wait(lambda: not self._case.live.busy, LONGEST)
        return ", ".join(scores.values())

    def accept_under_the_pointer(self) -> int:
        """Point at what is proposed on some slice, press O, and return on how many slices it was accepted."""
        slices = self._teaching.proposals.slices(self._name)
        held = [plane for plane, pending in slices.items() if pending.proposals]
        if not held:
            return 0
        plane = held[len(held) // 2]
        self.show(int(plane.index))
        proposal = slices[plane].proposals[0]
        rows, columns = np.nonzero(proposal.inside)
        middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        spot = float(proposal.start[0] + rows[middle]), float(proposal.start[1] + columns[middle])
        self._canvas.hover(plane.to_voxel(spot))
        driver.settle(100)
        self.press_key("O")
        driver.wait(lambda: not self._teaching.pending(plane) or not self._teaching.pending(plane).proposals, LONGEST)
        left = sum(bool(each.proposals) for each in self._teaching.proposals.slices(self._name).values())
        return len(held) - left

    def _is_ranked_without(self, index: int) -> bool:
        return all(int(each.plane.index) != index for each in self._teaching.filling.suggestions)

    def accept_sure(self) -> str:
        """Accept the surer half of what is proposed; return how many slices it was, of how many."""
        slices = self._teaching.proposals.slices(self._name).values()
        sure = sorted(each.confidence for pending in slices for each in pending.proposals)
        if not sure:
            return "0 of 0"
        self._panel.proposals.sure.setValue(round(sure[len(sure) // 2] - 0.005, 2))
        self.press(self._panel.proposals.accept_above)
        driver.settle(300)
        left = sum(len(each.proposals) for each in self._teaching.proposals.slices(self._name).values())
        return f"{len(sure) - left} of {len(sure)}"

    def roll_back(self) -> int:
        """Use the first version of this structure again; return which one is in use then."""
        adapting, versions = self._teaching.adapting, self._panel.adapt.versions
        held = [versions.itemData(place) for place in range(versions.count())]
        first = next(each for each in held if (each.facts.structure, each.version) == (self._name, 1))
        versions.setCurrentIndex(held.index(first))
        self.press(self._panel.adapt.use)
        driver.wait(lambda: self._in_use() == first.digest, LONGEST)
        return int(adapting.in_use.listed.version)

    def doubt(self) -> None:
        """Show or hide where the model is in doubt."""
        self.press(self._panel.proposals.doubt)
        driver.settle(1500)

    def proposed(self) -> set[int]:
        """Return on which slices anything is proposed."""
        slices = self._teaching.proposals.slices(self._name)
        return {int(plane.index) for plane, pending in slices.items() if pending.proposals}

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

    def _is_filled(self) -> bool:
        return not self._teaching.filling.busy and bool(self._teaching.filling.suggestions)

    def _in_use(self) -> str:
        known = self._teaching.adapting.in_use
        return known.listed.digest if known is not None else ""

    def _prompts(self) -> int:
        return sum(len(thing.prompts) for thing in self._case.session.state.objects.values())

    def _labelled(self, index: int) -> np.ndarray:
        session = self._case.session
        return np.isin(session.labels[index], sorted(session.state.members(self._name)))

    def _mask(self, index: int) -> np.ndarray:
        """The structure as it is labelled on a slice; what is proposed there, if nothing is."""
        mask = self._labelled(index)
        region = (slice(index, index + 1), *(slice(0, size) for size in mask.shape))
        return mask if mask.any() else self._teaching.proposals.shown(region)[0] > 0


def walk(run: report.Run, desk: driver.Desk, truth: np.ndarray, name: str) -> bool:
    """Take all stations; return whether every one was reached."""
    walker = Walk(desk, truth, name, run.options.pictures)
    held = np.flatnonzero(truth.any(axis=(1, 2)))
    _learn(run, walker, name, held)
    in_reach = _fill(run, walker, name, int(held[len(held) // 3]))
    marked = _correct(run, walker, name)
    second = walker.adapt()
    walker.picture("adapted-again")
    run.detail(f"{name}: steps of training again", second.steps)
    again = second.readout
    figures = f"{again.dice_before:.3f}, {again.dice_after:.3f}; {again.clicks_before:g}, {again.clicks_after:g}"
    run.detail(f"{name}: adapted again: Dice; clicks to 0.85, before and after", figures)
    _accept(run, walker, name)
    back = walker.roll_back()
    walker.picture("rolled-back")
    run.detail(f"{name}: Dice of the volume at the end", round(walker.score(), 3))
    return len(second.support) == 4 + marked and back == 1 and in_reach


def _learn(run: report.Run, walker: Walk, name: str, held: np.ndarray) -> None:
    walker.begin()
    for place in (0.25, 0.5, 0.75):
        walker.label(int(held[int(place * (len(held) - 1))]))
    run.detail(f"{name}: clicks on three slices", walker.clicks)
    walker.picture("labelled")
    walker.label(walker.farthest_without(held))
    facts = walker.adapt()
    first = facts.readout
    walker.picture("read-out")
    run.detail(f"{name}: steps of training", facts.steps)
    run.detail(f"{name}: seconds to adapt in the viewer", round(walker.seconds, 1))
    run.detail(f"{name}: Dice without prompts, before and after", f"{first.dice_before:.3f}, {first.dice_after:.3f}")
    run.detail(f"{name}: clicks to 0.85, before and after", f"{first.clicks_before:g}, {first.clicks_after:g}")


def _fill(run: report.Run, walker: Walk, name: str, middle: int) -> bool:
    """Fill a range, then all; return whether the range was kept to."""
    walker.fill(middle - 3, middle + 3)
    in_reach = walker.proposed() <= set(range(middle - 3, middle + 4))
    walker.show(middle)
    walker.picture("range-filled")
    walker.fill()
    walker.picture("filled")
    run.detail(f"{name}: Dice of the volume when filled", round(walker.score(), 3))
    return in_reach


def _correct(run: report.Run, walker: Walk, name: str) -> int:
    """Look where the model is least sure; return how many slices were marked."""
    walker.look_next()
    walker.picture("least-sure")
    walker.doubt()
    walker.picture("doubt")
    before = walker.clicks
    looked, marked = walker.correct(empty=2)
    walker.picture("corrected")
    walker.doubt()
    run.detail(f"{name}: slices looked at with J until one held it, and marked", f"{looked}, {marked}")
    run.detail(f"{name}: clicks on them", walker.clicks - before)
    run.detail(f"{name}: Dice there, same clicks, base and adapted", walker.compare())
    return marked


def _accept(run: report.Run, walker: Walk, name: str) -> None:
    walker.fill()
    run.detail(f"{name}: Dice of the volume after the correction", round(walker.score(), 3))
    run.detail(f"{name}: slices accepted at once, of those proposed", walker.accept_sure())
    walker.picture("accepted")
    run.detail(f"{name}: slices accepted with the object under the pointer", walker.accept_under_the_pointer())
    walker.picture("object-accepted")


def measure(run: report.Run) -> None:
    """Teach structures of a real CT in the real viewer."""
    from napari_medfm.adaptation import Recipe
    from napari_medfm.volume import open_labels

    if run.options.pictures:
        run.options.pictures.mkdir(parents=True, exist_ok=True)
    structures = dict(list(STRUCTURES.items())[:1]) if run.quick else STRUCTURES
    reached = []
    with driver.folders_of_its_own():
        desk = driver.Desk()
        if run.options.seconds:  # on a machine that does other work beside it, else the time decides what is learned
            desk.widget.panel.adapt.recipe = Recipe(seconds=run.options.seconds)
        case = desk.open(IMAGE, timeout=LONGEST)
        labels = open_labels(MASK, like=case.session.volume)
        for name, value in structures.items():
            reached.append(walk(run, desk, labels == value, name))
        desk.close()
    run.n = len(reached)
    run.bar("share_of_walks_to_the_end", float(np.mean(reached)))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help="time that adapting may take; by default the model's own")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every station")


if __name__ == "__main__":
    if not IMAGE.is_file():
        sys.exit(f"{DATA.parent.name}/{DATA.name}: the real images are not beside this repository")
    driver.ensure_display()
    report.main("teaching", measure, _options)
