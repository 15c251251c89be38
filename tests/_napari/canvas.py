"""A person at the canvas: real mouse and key events on the widget that napari draws in.

napari names no public way to that widget. It is found in Qt's own tree of widgets,
so that no private attribute of napari is read, here or anywhere else.
"""

import gc

import numpy as np
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMainWindow

SHIFT, ALT, CONTROL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)
NONE = Qt.KeyboardModifier.NoModifier
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton

MOVE_MS = 12
"""vispy drops mouse moves that follow each other within 10 ms."""


class Canvas:
    """The canvas of one viewer, operated by voxel coordinates of a layer.

    Parameters
    ----------
    viewer : napari.Viewer
        Shown, with a title that no other window has.
    layer : napari.layers.Layer
        The layer whose voxels are meant.
    """

    def __init__(self, viewer, layer):
        self.viewer, self.layer = viewer, layer
        self.widget = canvas_widget(viewer)

    def pixel(self, voxel):
        """Return the canvas pixel over a voxel's centre, from the camera's centre, zoom and orientation."""
        camera, dims = self.viewer.scene.camera, self.viewer.dims
        ahead = dims.ndim - self.layer.ndim
        world = np.asarray(self.layer.data_to_world(voxel))
        away = [world[axis - ahead] - centre for axis, centre in zip(dims.displayed, camera.center[-2:], strict=True)]
        vertical, horizontal = (str(direction) for direction in camera.orientation2d)
        down = away[0] * camera.zoom * (1 if vertical == "down" else -1)
        right = away[1] * camera.zoom * (1 if horizontal == "right" else -1)
        return QPoint(round(self.widget.width() / 2 + right), round(self.widget.height() / 2 + down))

    def click(self, voxel, modifiers=NONE, button=LEFT):
        """Click on a voxel."""
        self.press_at(self.pixel(voxel), modifiers, button)

    def press_at(self, pixel, modifiers=NONE, button=LEFT):
        """Click on a pixel."""
        QTest.mouseClick(self.widget, button, modifiers, pixel)

    def double_click(self, voxel):
        """Click twice in quick succession, as Qt reports it: the second press is a double click."""
        pixel = self.pixel(voxel)
        QTest.mouseClick(self.widget, LEFT, NONE, pixel)
        QTest.mouseDClick(self.widget, LEFT, NONE, pixel)

    def drag(self, voxels, modifiers=NONE, button=LEFT):
        """Press at the first voxel, pass through the others, let go at the last."""
        pixels = [self.pixel(voxel) for voxel in voxels]
        QTest.mousePress(self.widget, button, modifiers, pixels[0])
        for pixel in pixels[1:]:
            QTest.qWait(MOVE_MS)
            QTest.mouseMove(self.widget, pixel)
        QTest.qWait(MOVE_MS)
        QTest.mouseRelease(self.widget, button, modifiers, pixels[-1])

    def hover(self, voxel):
        """Move the mouse over a voxel."""
        QTest.qWait(MOVE_MS)
        QTest.mouseMove(self.widget, self.pixel(voxel))

    def key(self, key, modifiers=NONE):
        """Press and release a key."""
        QTest.keyClick(self.widget, key, modifiers)

    def hold(self, key):
        """Press a key."""
        QTest.keyPress(self.widget, key)

    def let_go(self, key):
        """Release a key."""
        QTest.keyRelease(self.widget, key)

    def picture(self):
        """Return what is on the screen, (rows, columns, 4) uint8."""
        return self.viewer.screenshot(canvas_only=True, flash=False)

    def colour_at(self, voxel):
        """Return the colour on the screen over a voxel, RGB as floats."""
        pixel, picture = self.pixel(voxel), self.picture()
        return picture[pixel.y(), pixel.x(), :3].astype(float)


def canvas_widget(viewer):
    """Return the widget that a viewer draws in."""
    windows = [
        window
        for window in QApplication.topLevelWidgets()
        if isinstance(window, QMainWindow) and window.windowTitle() == viewer.title
    ]
    (widget,) = [canvas for window in windows for canvas in window.findChildren(QOpenGLWidget)]
    return widget


def top_level_widgets():
    """Return the windows and pop-ups that are left once Qt has deleted what was closed."""
    application = QApplication.instance()
    for _ in range(3):  # what is deleted may own what is deleted next
        gc.collect()
        application.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        application.processEvents()
    return set(application.topLevelWidgets())
