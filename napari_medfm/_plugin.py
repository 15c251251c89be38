"""The composition root: the one place that sees napari, Qt, the session and the models."""

from napari.viewer import Viewer
from qtpy.QtWidgets import QWidget


class AnnotationPanel(QWidget):
    """The dock panel that the manifest names.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer it is docked in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
