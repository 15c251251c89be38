"""Clicks answered in 3-D in the real viewer, by VISTA3D's architecture, chosen in the panel like any model.

Its weights are random, of a small network, from a file: it segments nothing. This is about the way from a click to
voxels: the model chosen, its licence agreed to and its file chosen by mouse and keys; progress told; each click one
step that undo takes back to the voxel; a click near a region's border moves the region; and the interface's heartbeat.
"""

import argparse
import sys
import time
from pathlib import Path

import driver
import numpy as np
import report
from person import LONGEST, Person
from volumes_walk import DATA, IMAGE, Walk


class Heartbeat:
    """How late a timer of 10 ms comes, while something goes on."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.late: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(10)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.late.append(now - self._last - 0.01)
        self._last = now

    def stop(self) -> str:
        """Stop; return how many came late, for the report."""
        self._timer.stop()
        late = np.array(self.late)
        above = f"{int((late > 0.05).sum())} above 50 ms, {int((late > 0.2).sum())} above 200 ms"
        return f"{late.size} beats, {above}, latest {1000 * late.max():.0f} ms"


class Regions:
    """Answers in 3-D by VISTA3D's architecture with random weights from a file, chosen in the panel.

    It segments nothing: this is about the way from a click to voxels in the viewer.
    """

    def __init__(self, person: Person, walk: Walk, run: report.Run) -> None:
        self._person, self._walk, self._run = person, walk, run
        self._case, self._panel = person.case, person.panel
        self.answered: list[bool] = []

    def choose(self, folder: Path) -> None:
        """Choose the model, agree to its licence, and choose the file of its weights, by mouse and keys."""
        import torch

        from napari_medfm.models.backends.vista3d import build_small_vista3d

        person, section, file = self._person, self._panel.model, folder / "vista3d_small.pt"
        torch.save(build_small_vista3d(14).state_dict(), file)
        (title,) = {entry.facts.title for entry in _entries(section) if entry.name == "vista3d"}
        person.choose(section.models, title)
        person.press(section.choose)
        _accept_file(file)
        driver.wait(lambda: section.licence.text, LONGEST)
        person.picture("vista3d-licence", section)
        person.press(section.agree)
        driver.wait(lambda: section.status.text() == "Ready", LONGEST)
        driver.wait(lambda: self._case.live.predictor.answers_volumes, LONGEST)

    def click(self) -> None:
        """Click in a region, and then near its border; each is one step, and undo takes it back."""
        from napari_medfm.volume import WHOLE, Plane

        person, panel, live = self._person, self._panel, self._case.live
        number = self._walk.begin("anything")
        person.press(panel.prompts.tools["point"])
        idle = Heartbeat()
        driver.settle(2000 if self._run.quick else 15000)
        self._run.detail("heartbeats while nothing goes on", idle.stop())
        heard, applied, beat = [], [], Heartbeat()
        live.events.preparing.connect(heard.append)
        live.events.applied.connect(lambda number, plane, quality, seconds: applied.append(plane))
        middle = [size // 2 for size in self._case.session.volume.shape]
        places = (("in the middle", 0, middle), ("near a border", 1, [middle[0] // 5, *middle[1:]]))
        for name, axis, place in places[:1] if self._run.quick else places:
            plane = Plane(axis, place[axis])
            person.show(plane)
            where = plane.from_voxel(place)
            steps, answers = len(self._case.session.history.done), len(applied)
            self._walk.prove(f"click in 3-D, {name}", lambda plane=plane, where=where: person.click(plane, where))
            one_step = len(self._case.session.history.done) == steps + 1
            self.answered.append(one_step and applied[answers:] == [WHOLE])
            self._run.detail(f"VISTA3D, {name}: voxels taken", int((self._case.session.labels == number).sum()))
            person.picture(f"vista3d-{name.replace(' ', '-')}", panel.progress)
            box = self._case.session.state.answered_box(number)
            self._run.detail(
                f"VISTA3D, {name}: voxels answered for", " ".join(f"{part.start}:{part.stop}" for part in box)
            )
            self._run.detail(f"VISTA3D, {name}: told by the panel", panel.progress.answer.text())
        self._run.detail("VISTA3D: heartbeats meanwhile", beat.stop())
        self._run.detail("VISTA3D: steps of preparing told", len(heard))


def _entries(section):
    return [section.models.itemData(index) for index in range(section.models.count())]


def _accept_file(file: Path) -> None:
    """Type the name of a file into the dialog that is open, and press its button."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QLineEdit

    def shown() -> list[QFileDialog]:
        return [each for each in QApplication.topLevelWidgets() if isinstance(each, QFileDialog) and each.isVisible()]

    driver.wait(shown, LONGEST)
    (dialog,) = shown()
    field = dialog.findChild(QLineEdit)
    field.selectAll()
    QTest.keyClicks(field, str(file))
    driver.settle(200)
    QTest.mouseClick(dialog.findChild(QDialogButtonBox).buttons()[0], Qt.MouseButton.LeftButton)
    driver.wait(lambda: not shown(), LONGEST)


def measure(run: report.Run) -> None:
    """Click in 3-D in the real viewer."""
    pictures = run.options.pictures
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    with driver.folders_of_its_own() as folder:
        desk = driver.Desk()
        case = desk.open(IMAGE, timeout=LONGEST)
        person = Person(desk, pictures)
        walk = Walk(person, np.zeros(case.session.volume.shape, np.uint8), run)
        regions = Regions(person, walk, run)
        regions.choose(folder)
        regions.click()
        desk.close()
    run.n = len(regions.answered)
    run.bar("clicks_answered_in_one_step", float(np.mean(regions.answered)))
    run.bar("clicks_undone_voxel_exactly", float(np.mean(list(walk.undone.values()))))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every station")


if __name__ == "__main__":
    if not IMAGE.is_file():
        sys.exit(f"{DATA.parent.name}/{DATA.name}: the real images are not beside this repository")
    driver.ensure_display()
    report.main("volume_clicks", measure, _options)
