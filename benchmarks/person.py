"""A person at the viewer and its panel: keys, clicks and strokes over the image, buttons and fields beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import driver

if TYPE_CHECKING:
    from napari_medfm.volume import Plane

LONGEST = 240.0
"""Seconds that anything may take before it is given up; a busy machine takes its time."""


class Person:
    """Operates a viewer with the panel by mouse and key events.

    Parameters
    ----------
    desk : Desk
        The viewer, with an image open.
    pictures : Path or None
        Gets the pictures.
    """

    def __init__(self, desk: driver.Desk, pictures: Path | None = None) -> None:
        self.desk, self.case, self.panel = desk, desk.case, desk.widget.panel
        self.canvas = desk.canvas()
        self._pictures = pictures
        self.pictured: list[str] = []
        self.panel.window().activateWindow()  # else no text field gets the keyboard, and all keys are the image's
        driver.settle(200)

    @property
    def plane(self) -> "Plane | None":
        """The slice in view."""
        return self.case.workspace.bridge.plane

    def key(self, key: str, *, control: bool = False, shift: bool = False) -> None:
        """Press a key over the image."""
        from canvas import CONTROL, NONE, SHIFT
        from qtpy.QtCore import Qt

        modifiers = (CONTROL if control else NONE) | (SHIFT if shift else NONE)
        self.canvas.key(getattr(Qt.Key, f"Key_{key}"), modifiers)
        driver.settle()

    def show(self, plane: "Plane") -> None:
        """Press A until the plane's direction is shown, then go to the slice."""
        for _ in range(3):
            if self.plane is not None and self.plane.axis == plane.axis:
                break
            self.key("A")
        self.desk.viewer.dims.set_current_step(plane.axis, plane.index)
        driver.wait(lambda: self.plane == plane, LONGEST)
        driver.settle(150)

    def click(self, plane: "Plane", position: Sequence[float], *, shift: bool = False, alt: bool = False) -> None:
        """Click on a place of the slice in view."""
        from canvas import ALT, NONE, SHIFT

        modifiers = (SHIFT if shift else NONE) | (ALT if alt else NONE)
        self.canvas.click(plane.to_voxel(tuple(position)), modifiers)

    def stroke(self, plane: "Plane", path: Sequence[Sequence[float]], *, shift: bool = False) -> None:
        """Press the button at the first place of a path, and let go of it at the last."""
        from canvas import NONE, SHIFT

        self.canvas.drag([plane.to_voxel(tuple(place)) for place in path], SHIFT if shift else NONE)

    def hover(self, plane: "Plane", position: Sequence[float]) -> None:
        """Move the mouse to a place of the slice in view."""
        self.canvas.hover(plane.to_voxel(tuple(position)))

    def press(self, button) -> None:
        """Press a button of the panel, once it can be pressed."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        driver.wait(button.isEnabled, LONGEST)
        self.scroll_to(button)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        driver.settle()

    def unfold(self, section, unfolded: bool = True) -> None:
        """Click the header of a section unless it is unfolded already, or folded if that is wanted."""
        if section.isExpanded() != unfolded:
            self.press(section.toggleButton())

    def choose(self, box, words: str) -> None:
        """Choose from a list with the arrow keys; typing would open the list at the first space."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        self.scroll_to(box)
        box.setFocus()
        QTest.keyClick(box, Qt.Key.Key_Home)
        for _ in range(box.count()):
            if box.currentText() != words:
                QTest.keyClick(box, Qt.Key.Key_Down)
        driver.wait(lambda: box.currentText() == words, LONGEST)
        driver.settle()

    def enter(self, field, value: float) -> None:
        """Type a number into a field."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        self.scroll_to(field)
        field.setFocus()
        field.selectAll()
        QTest.keyClicks(field, f"{value:g}")
        QTest.keyClick(field, Qt.Key.Key_Return)
        driver.settle()

    def cell(self, object_id: int, column: int, *, twice: bool = False) -> None:
        """Click a cell of the table of objects, or double-click it."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        table = self.panel.objects.table
        self.scroll_to(table)
        index = table.model().index(table.model().row_of(object_id), column)
        table.scrollTo(index)
        place = table.visualRect(index).center()
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        if twice:
            QTest.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        driver.settle()

    def type_into_cell(self, object_id: int, column: int, words: str) -> None:
        """Double-click a cell of the table of objects, type, and press Enter."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QLineEdit

        self.cell(object_id, column, twice=True)
        editor = self.panel.objects.table.viewport().findChildren(QLineEdit)[-1]
        editor.selectAll()
        QTest.keyClicks(editor, words)
        QTest.keyClick(editor, Qt.Key.Key_Return)
        driver.settle()

    def scroll_to(self, widget) -> None:
        """Scroll the panel so that a part of it is seen."""
        from qtpy.QtWidgets import QScrollArea

        driver.settle()
        self.panel.findChild(QScrollArea).ensureWidgetVisible(widget, 0, 20)

    def picture(self, name: str, *seen) -> None:
        """Save what the window shows, with parts of the panel scrolled into view, the last one surely."""
        from napari.utils.io import imsave

        if self._pictures is None:
            return
        for widget in seen:
            self.scroll_to(widget)
        driver.settle(400)
        self.pictured.append(name)
        path = self._pictures / f"{len(self.pictured):02d}-{name}.png"
        imsave(str(path), self.desk.viewer.screenshot(canvas_only=False, flash=False))
