"""The composition root: the one room that sees napari, Qt, the session and the models."""

from napari_medfm._plugin.annotator import Annotator, are_registered
from napari_medfm._plugin.case import Case
from napari_medfm._plugin.dialogs import is_typing
from napari_medfm._plugin.dock import AnnotationPanel
from napari_medfm._plugin.engine import Engine
from napari_medfm._plugin.project_dock import ProjectDock, dock_project
from napari_medfm._plugin.wording import worded

__all__ = [
    "AnnotationPanel",
    "Annotator",
    "Case",
    "Engine",
    "ProjectDock",
    "are_registered",
    "dock_project",
    "is_typing",
    "worded",
]
